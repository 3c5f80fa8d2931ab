"""Entry of a hosted demo: builds `wctstyle.demo` and serves it on all addresses of its container.

The port is Gradio's own choice: GRADIO_SERVER_PORT if set, else the first free one from 7860.
"""

from __future__ import annotations

import os

from wctstyle.demo import build, launch

if __name__ == "__main__":
    launch(build(), host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"))
