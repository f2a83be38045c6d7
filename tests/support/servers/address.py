"""Addresses of the tests' servers."""


class Addressed:
    """A server on a port of this machine."""

    host = "localhost"
    port: int

    @property
    def url(self) -> str:
        """The WebSocket's address, without a path."""
        return f"ws://{self.host}:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://{self.host}:{self.port}"
