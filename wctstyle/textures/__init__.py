"""New texture from styles: painted from noise on a plane without end, and optimised from there.

The modules import only downwards: making (all of it), recipe, optimised, plane, noise, transitions, settings. Neither
the settings nor the recipe import JAX.
"""
