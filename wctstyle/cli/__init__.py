"""The command line: the only place that prints or exits.

Everything that can be checked is checked before JAX is imported or weights are read, so that a mistake is told
within a fraction of a second; the rooms that import JAX are therefore imported inside the functions that need
them. Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 1 a fault of this program, 2 bad
input or a picture that failed, 130 stopped by Ctrl-C, 141 nobody reads the results any more.

The modules import only downwards: commands, dream_command, lut_commands, analogy_command, clip_changes, video_command,
video_optimize, texture_command, stylize_command, batch_command, optimize_command, compare_command, suggest_command,
demo_command, serve_command, server_options, train_command, weights_commands, mask_command, optimize_run, painting,
manifest, setups, looks_command, stylize_options, optimize_options, naming, comparison, outputs, specs, contents,
options, console.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wctstyle.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line and exit with its code; Ctrl-C while it is still being loaded says nothing."""
    try:
        from wctstyle.cli.commands import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def __getattr__(name: str) -> Any:
    if name == "app":
        from wctstyle.cli.commands import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
