"""Image analogies: a filter learned from a picture and what it became, and applied to other pictures.

The modules import only downwards: files, filters (what callers use: learn, apply), alignment, neighbourhoods, points,
sampling.
"""
