"""Talking: results on stdout, messages and progress on stderr, and the exit codes."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from wctstyle.errors import WctStyleError

EXIT_FAULT, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141

WANTED = {"float_parsing": "a number", "int_parsing": "a whole number", "int_from_float": "a whole number"}
"""What an option takes, by the kind of fault that pydantic, which checks for typer, finds in its value."""

SURROUNDINGS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO
}  # fmt: skip
"""What the system may refuse without a fault of this program: no space, a file or name too long, no permission."""

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="Say more: timings; -vv tracebacks of errors too."
    ),
]


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def tell(message: str, *, label: str = "", style: str = "") -> None:
    """Print a message to stderr, as it is: no markup, no wrapping."""
    _console().print(Text.assemble((label, style), message), soft_wrap=True)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    tell(message, label="Warning: ", style="yellow")


def print_table(table: Table) -> None:
    """Print a table to stdout; where that is not a terminal, as wide as it needs to be."""
    text = io.StringIO()
    Console(file=text, highlight=False, width=None if sys.stdout.isatty() else 1000).print(table)
    typer.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Make a progress bar on stderr, silent unless that is a terminal; stdout stays what it is."""
    console = _console()
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show on a terminal what is being done; gone when it is done."""
    with progress_bar(SpinnerColumn(), TextColumn("{task.description}", markup=False)) as progress:
        progress.add_task(text, total=None)
        yield


def say(line: str, progress: Progress) -> None:
    """Print a line of results; above the bar where both are on one terminal."""
    if sys.stdout.isatty() and not progress.disable:
        progress.console.print(Text(line), soft_wrap=True)
    else:
        typer.echo(line)


class Stop:
    """Whether Ctrl-C was pressed; the second time it interrupts at once."""

    def __init__(self, after: str) -> None:
        self.wanted, self._after = False, after

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note Ctrl-C instead of raising it, so that a run stops between two of its steps."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            self.wanted = True
            signal.signal(signal.SIGINT, before)
            tell(f"Stopping after {self._after}; press Ctrl-C again to stop at once.")

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


_Command = TypeVar("_Command", bound=Callable[..., None])


def clean_exit(command: _Command) -> _Command:
    """Turn what a command raises into one message on stderr and an exit code; `-vv` adds the traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        verbose = kwargs.get("verbose", 0)
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be flushed goes nowhere
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        except KeyboardInterrupt as error:
            tell(str(error) or "Stopped. No half-written file is left.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except WctStyleError as error:
            fail(str(error), EXIT_INPUT, traced=verbose >= 2)
        except Exception as error:  # noqa: BLE001 (the last resort: a fault of this program, told in one line)
            if isinstance(error, OSError) and error.errno in SURROUNDINGS:
                where = f"{error.filename}: " if error.filename else ""
                fail(f"{where}{error.strerror}; give another place or name", EXIT_INPUT, traced=verbose >= 2)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            hint = "" if verbose >= 2 else " (a fault of wctstyle; run it again with -vv to see where)"
            fail(text + hint, EXIT_FAULT, traced=verbose >= 2)

    return run  # pyright: ignore[reportReturnType]


def in_plain_words(error: typer.BadParameter) -> str:
    """Say what is wrong with a value, without the words of the library that checks it."""
    found: Any = getattr(error.__cause__, "errors", list)()
    if not found:
        return error.message
    given, wanted = found[0]["input"], WANTED.get(found[0]["type"])
    if wanted:
        return f"{given!r} is not {wanted}."
    return error.message.removeprefix("Value error, ").replace("Input should be", f"{given} is given, it has to be")


def fail(message: str, code: int, *, traced: bool) -> None:
    """Tell what went wrong, after the traceback if wanted, and end with an exit code."""
    if traced:
        tell(traceback.format_exc().rstrip())
    tell(message.replace("\n", "\n  "), label="Error: ", style="bold red")
    raise typer.Exit(code) from None
