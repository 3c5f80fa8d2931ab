"""Runs the command line: `python -m wctstyle` does what `wctstyle` does."""

from wctstyle.cli import main

if __name__ == "__main__":
    main()
