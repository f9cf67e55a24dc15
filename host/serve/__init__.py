"""A small web page on this machine: drop an image, edit the labels, see the top five.

with PageServer(Service(bundle, accelerator, kind), "127.0.0.1", 8765) as server:
    server.serve_forever()
"""

from .reopening import ReopeningAccelerator
from .server import PageServer, ServeError, new_token
from .service import RequestError, Service

__all__ = ["PageServer", "ReopeningAccelerator", "RequestError", "ServeError", "Service", "new_token"]
