"""Deep dream: pictures changed so that a network sees more of what it sees in them (Mordvintsev et al. 2015).

The modules import only downwards: sheet, zoom, dreaming, recipe, settings. The ascent itself is `optimizer.ascent`.
"""
