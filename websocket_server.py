"""The server for programs that run it in their own event loop; the code is in ``kani/server/app.py``."""

from kani.composition.speech_service import build_service
from kani.server.app import protocols_for, serve

__all__ = ["build_service", "protocols_for", "serve"]

if __name__ == "__main__":
    raise SystemExit("this is a module; start the server with: python start_websocket_server.py")
