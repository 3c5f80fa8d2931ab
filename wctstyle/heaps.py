"""The C library's heaps, kept small: glibc keeps what is freed, and a server seems to grow with every visitor."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

M_ARENA_MAX, HEAPS = -8, 2
"""glibc's number of that parameter (malloc.h), and how many heaps all threads share.

With one for each of Gradio's threads, what one of them frees is of no use to the others.
"""


def _where_it_can() -> contextlib.AbstractContextManager[None]:
    """Let what only glibc has be missing: other libraries lack the function, and Windows has no library of no name."""
    return contextlib.suppress(AttributeError, OSError, TypeError)


def share() -> None:
    """Let all threads share a few heaps, where the C library can be told; it listens until the second heap is made."""
    with _where_it_can():
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def trim() -> None:
    """Give freed memory back to the system, where the C library can."""
    with _where_it_can():
        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Return the process's resident memory in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
