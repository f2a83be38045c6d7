"""An S3 server in this process (moto's); its requests can be made to fail."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from kani.composition.voices.object_store import ENDPOINTS, S3ObjectStore
from kani.core.voices.storage.bucket import BucketBackend
from kani.core.voices.store import VoiceStore

ACCESS_KEY, SECRET = "AKIAEXAMPLE", "a-secret-that-no-log-may-hold"

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]
Fault = Callable[[Environ, Start, App], Iterable[bytes]]


class _Handler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None: ...


class Bucket:
    """A bucket named ``name`` on a local server, which serves one request at a time, so that each is atomic.

    fault: called with the server's own application for each request while it is set; answers in its place.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = "kani"
        self.fault: Fault | None = None
        self._app: App = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, request_handler=_Handler)
        self.port = self._server.server_port
        self._made: tuple[str, S3ObjectStore] | None = None
        self.requests: list[str] = []
        """Methods and paths of the requests so far."""

    def _serve(self, environ: Environ, start: Start) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        # An answer before the end of a body resets the connection.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return self.fault(environ, start, self._app) if self.fault else self._app(environ, start)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()

    def close(self) -> None:
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a server uses the bucket."""
        return {
            "KANI_VOICE_BUCKET": f"s3://{self.name}/{self.folder}",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def backend(self) -> BucketBackend:
        return BucketBackend(self.object_store())

    def object_store(self) -> S3ObjectStore:
        # It reads the certificates of all authorities when it is made.
        if self._made is None or self._made[0] != self.folder:
            self._made = self.folder, S3ObjectStore(self.name, self.folder)
        return self._made[1]

    @contextmanager
    def store(self) -> Iterator[VoiceStore]:
        store = VoiceStore(self.backend())
        store.start()
        try:
            yield store
        finally:
            store.stop()

    def objects(self) -> set[str]:
        store = self.object_store()._store
        return {each["path"] for found in store.list() for each in found}


def refusing(status: str, code: str, more: str = "") -> Fault:
    return lambda environ, start, app: answer(status, code, start, more)


def answer(status: str, code: str, start: Start, more: str = "") -> Iterable[bytes]:
    """Answer a request with an error, as S3 does."""
    start(status, [("content-type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode()]


@contextmanager
def local_bucket(monkeypatch: pytest.MonkeyPatch, name: str = "voices") -> Iterator[Bucket]:
    """Serve a bucket while the body runs; the AWS_… variables of this process name it."""
    bucket = Bucket(name)
    for variable in (*ENDPOINTS, "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in bucket.environment.items():
        if variable.startswith("AWS_"):
            monkeypatch.setenv(variable, value)
    try:
        with bucket.serving():
            httpx2.put(f"{bucket.url}/{name}").raise_for_status()
            yield bucket
            bucket.fault = None
            # The server's state is the process'.
            httpx2.post(f"{bucket.url}/moto-api/reset").raise_for_status()
    finally:
        bucket.close()
