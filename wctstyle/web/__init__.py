"""What every server shares: who may reach it, how much one client may ask, health, figures, logs and a clean stop.

Plain ASGI: it knows nothing of pictures, of Gradio or of any route but its own /healthz, /readyz and /metrics.

    exposure = Exposure(host="127.0.0.1", token="...")
    metrics, stopping = Metrics(), Stopping()
    metrics.gauge("wctstyle_queue_length", "Jobs that wait.", lambda: len(queue))
    app = FastAPI(middleware=protect(exposure, metrics, ready=why_not_ready, stopping=stopping))
    # start uvicorn with proxy_headers=False, then:
    write_logs(exposure)
    with stopping.listening():
        stopping.wait()
        stopping.finish(busy, exposure.stop_seconds)

The modules import only downwards: protection, admission, doors, watching, logs, exposure, addresses, asgi, stopping,
metrics, buckets.
"""

from wctstyle.web.addresses import check_address, is_private
from wctstyle.web.asgi import CLIENT, ROUTE
from wctstyle.web.exposure import Exposure
from wctstyle.web.logs import write_logs
from wctstyle.web.metrics import Metrics
from wctstyle.web.protection import protect, wrapped
from wctstyle.web.stopping import Stopping

__all__ = [
    "CLIENT",
    "ROUTE",
    "Exposure",
    "Metrics",
    "Stopping",
    "check_address",
    "is_private",
    "protect",
    "wrapped",
    "write_logs",
]
