"""The command line: the only place that prints or exits.

Everything that can be checked is checked before JAX is imported or weights are read, so that a mistake is told
within a fraction of a second; the rooms that import JAX are therefore imported inside the functions that need
them. Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 1 a fault of this program, 2 bad
input or a picture that failed, 130 stopped by Ctrl-C, 141 nobody reads the results any more.

The modules import only downwards: commands, optimize_command, compare_command, demo_command, train_command,
weights_commands, optimize_run, optimize_options, comparison, console, jobs, outputs, specs.
"""

from wctstyle.cli.commands import app, main

__all__ = ["app", "main"]
