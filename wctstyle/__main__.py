"""Run the command line: `python -m wctstyle` is the same as `wctstyle`."""

from wctstyle.cli import main

if __name__ == "__main__":
    main()
