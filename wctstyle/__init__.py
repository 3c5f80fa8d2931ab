"""Style transfer by whitening and colouring: any photo, any blend of paintings, one pass."""

__version__ = "0.1.0"
