"""Entry of a hosted demo: builds `wctstyle.demo` and serves it where the host says.

GRADIO_SERVER_NAME is the address (a hosted Space sets it to that of its container), 127.0.0.1 if it is not set;
GRADIO_SERVER_PORT the port, else the first free one from 7860.
"""

from __future__ import annotations

import os

from wctstyle.demo import build, is_private, launch

if __name__ == "__main__":
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    launch(build(keep=is_private(host)), host=host)
