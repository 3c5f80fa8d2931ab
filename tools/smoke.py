"""Try a wheel as a stranger would: `python -m tools.smoke WHEEL`. Installs it in an empty environment and paints.

pip's own settings say where the dependencies come from; its cache makes a second time much faster.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

COMMANDS = (
    ("wctstyle", "--version"),
    ("wctstyle", "weights", "verify"),
    ("wctstyle", "stylize", "sample:cat", "--style", "sample:marbling", "--size", "128", "-o", "out.png"),
    ("wctstyle", "recipe", "out.png"),
    ("python", "-c", "import wctstyle.demo.server, wctstyle; print(wctstyle.Stylizer)"),
)
"""What is run, in an empty folder. The last one imports the demo, and with it all that it depends on."""


def main(wheel: str) -> None:
    """Install a wheel and run `COMMANDS`; the first that fails ends it."""
    path = Path(wheel).resolve()
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with tempfile.TemporaryDirectory() as folder:
        home, desk = Path(folder) / "env", Path(folder) / "desk"
        desk.mkdir()
        venv.create(home, with_pip=True)
        programs = home / ("Scripts" if os.name == "nt" else "bin")
        own = {**clean, "WCTSTYLE_HOME": str(desk / "home"), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        for name, *rest in (("python", "-m", "pip", "install", "-q", str(path)), *COMMANDS):
            start = time.perf_counter()
            subprocess.run([programs / name, *rest], cwd=desk, env=own, check=True)
            sys.stderr.write(f"{time.perf_counter() - start:6.1f} s  {name} {' '.join(rest)}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("wanted: python -m tools.smoke WHEEL")
    main(sys.argv[1])
