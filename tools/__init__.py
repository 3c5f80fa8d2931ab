"""Programs that made what the project ships beside its code: the gallery's pictures and those of the docs."""
