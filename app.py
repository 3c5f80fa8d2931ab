"""Entry of a hosted demo: builds `wctstyle.demo` and serves it where the host says.

GRADIO_SERVER_NAME is the address (a hosted Space sets it to that of its container), 127.0.0.1 if it is not set;
GRADIO_SERVER_PORT the port, else the first free one from 7860. SPACE_HOST is the name of the Space, which it sets.
"""

from __future__ import annotations

import os

from wctstyle.demo import build, launch
from wctstyle.web import Exposure

if __name__ == "__main__":
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    space = os.environ.get("SPACE_HOST")
    exposure = Exposure(host=host)
    if space:  # the Space's proxy calls its container by names of its own
        origins = (f"https://{space}",)
        exposure = Exposure(host=host, allowed_hosts=("*",), allowed_origins=origins, behind_proxy=True)
    launch(build(keep=exposure.private), exposure)
