"""Image analogies: a filter learned from a picture and what it became, and applied to other pictures.

The modules import only downwards: files, making (what callers use: learn; an Analogy is called with a picture),
painting, filters, alignment, neighbourhoods, points, sampling, recipe.
"""
