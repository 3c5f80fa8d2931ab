"""Style transfer by whitening and colouring: any photo, any blend of paintings, one pass."""

__version__ = "1.0.0"
