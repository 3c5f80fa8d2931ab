"""Where the original VGG-19 lies, for tests that need it and are skipped without it."""

import os
from pathlib import Path

import pytest

from benchmarks import judge

ORIGINAL = Path(os.environ.get(judge.ENVIRONMENT) or Path(__file__).resolve().parents[1] / judge.DEFAULT_FILE)

_missing = pytest.mark.skipif(
    not ORIGINAL.is_file(), reason=f"the original VGG-19 is not at {ORIGINAL} (set WCTSTYLE_VGG19)"
)


def needs_original(test):
    """Mark a test that reads `ORIGINAL`."""
    return pytest.mark.original_vgg(_missing(test))
