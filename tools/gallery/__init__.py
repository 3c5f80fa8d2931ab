"""The project's own style pictures, and the programs that drew them (``python -m tools.gallery.draw``)."""
