"""The web pages: the files of ``kani/web/``, with headers that let it load nothing from elsewhere.

Each file has two addresses. The one that a page names has the version of all files in it, so that a browser
asks for the file once; the other is checked at every use.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from kani.core.voices import sample_sentences
from kani.protocols.shared.protocol import METRICS_PORT, PathClass, Protocol
from kani.runtime.host_names import host_name
from kani.server.access import is_proxied

FOLDER = Path(__file__).parents[1] / "web"

# A machine's own table of media types may map .js to another type, which `nosniff` would block.
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src {}; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types shell"
)

DOCUMENT_HEADERS = {
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
}
"""Headers of what a browser shows by itself. For a script that a page loads they mean nothing, and of forty
small files they would be a third of all bytes."""

HEADERS = {"x-content-type-options": "nosniff", "vary": "accept-encoding"}

DOCUMENTS = (".html", ".svg")

CHECKED = "no-cache"
IMMUTABLE = "public, max-age=31536000, immutable"

_COMMENT = re.compile(rb"^ *(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)$", re.MULTILINE | re.DOTALL)
"""A comment that has its lines to itself."""

_INDENT = re.compile(rb"^\s+", re.MULTILINE)
"""Empty lines, and what stands before others."""

_NAME = re.compile(r"[a-z0-9.-]+")
"""A host as a policy can name it: no IPv6 address."""

DOCS_PATH = "/docs"
WORKER_PATH = "/service-worker.js"
MANIFEST_PATH = "/manifest.webmanifest"
STATIC = "/static/"
PAGES = {
    "/": "index.html",
    DOCS_PATH: "docs.html",
    # A worker serves the folder of its address, and an application is what lies in its manifest's.
    WORKER_PATH: "service-worker.js",
    MANIFEST_PATH: "manifest.webmanifest",
}

FILES: Mapping[str, Path] = {
    **{path.name: path for path in sorted(FOLDER.iterdir()) if path.is_file()},
    "examples.json": sample_sentences.FILE,
}
"""Paths on disk by name."""


def _version() -> str:
    """Return a digest of all files: their address changes with any of them, as they import each other."""
    files = b"".join(name.encode() + path.read_bytes() for name, path in FILES.items())
    return hashlib.sha256(files).hexdigest()[:12]


VERSIONED = f"{STATIC}{_version()}/"

PATHS = PAGES | {
    folder + name: name for folder in (STATIC, VERSIONED) for name in FILES if name not in PAGES.values()
}
"""File names by path. The pages hold no secret and have to ask for the key, so these paths are public."""


def protocol() -> Protocol:
    """Return the page as the server mounts it."""
    return Protocol(lambda context: routes(context.ports), paths=dict.fromkeys(PATHS, PathClass.PAGE))


def routes(ports: Mapping[str, int] | None = None) -> list[BaseRoute]:
    """Return a route for each file; its ETag is answered with 304.

    ports: see ``Context``; on each of them clients of another server look for its WebSocket.
    """
    sockets = sorted({port for name, port in (ports or {}).items() if name != METRICS_PORT.setting})
    contents = {name: _Content.read(path) for name, path in FILES.items()}
    static = StaticFiles(directory=FOLDER)
    return [_route(static, path, contents[name], sockets) for path, name in PATHS.items()]


def policy(request: Request, ports: Sequence[int]) -> str:
    """Return the Content-Security-Policy of a document, by which it loads nothing from elsewhere.

    The page, or a script in its console, may also open WebSockets on ``ports`` of the host that it came from;
    not where it came through a proxy, which passes on one port.
    """
    sources = ["'self'"]
    name = host_name(request.headers.get("host", ""))
    if _NAME.fullmatch(name) and not is_proxied(request.headers):
        scheme = "wss" if request.url.scheme == "https" else "ws"
        sources += [f"{scheme}://{name}:{port}" for port in ports]
    return POLICY.format(" ".join(sources))


@dataclass(frozen=True)
class _Content:
    plain: bytes
    digest: str
    media_type: str
    is_document: bool

    @classmethod
    def read(cls, path: Path) -> _Content:
        plain = path.read_bytes()
        if path.suffix in (".html", ".webmanifest"):
            plain = plain.replace(b'"static/', f'"{VERSIONED[1:]}'.encode())
        if path.suffix in (".css", ".js"):
            # A browser has no use for them; their lines stay, as it names the place of an error by them.
            plain = _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), plain)
        if path.suffix == ".css":
            plain = _INDENT.sub(b"", plain)
        digest = hashlib.sha256(plain).hexdigest()[:20]
        return cls(plain, digest, MEDIA_TYPES[path.suffix], path.suffix in DOCUMENTS)

    @cached_property
    def packed(self) -> bytes:
        """The file by gzip, made when it is first asked for: in 1 ms at most, where all would take 15."""
        return gzip.compress(self.plain, 9, mtime=0)


def _route(static: StaticFiles, path: str, content: _Content, ports: Sequence[int]) -> BaseRoute:
    caching = IMMUTABLE if path.startswith(VERSIONED) else CHECKED

    async def serve(request: Request) -> Response:
        packs = _accepts_gzip(request.headers.get("accept-encoding", ""))
        body = content.packed if packs else content.plain
        headers = HEADERS | {"cache-control": caching, **({"content-encoding": "gzip"} if packs else {})}
        digest = content.digest
        if content.is_document:
            allowed = policy(request, ports)
            headers |= DOCUMENT_HEADERS | {"content-security-policy": allowed}
            # A browser that is told "not modified" goes by the policy that it has.
            digest += hashlib.sha256(allowed.encode()).hexdigest()[:8]
        if caching == CHECKED:
            headers["etag"] = f'"{digest}{"-gzip" if packs else ""}"'
        response = Response(body, headers=headers | {"content-type": content.media_type})
        if caching == CHECKED and static.is_not_modified(response.headers, request.headers):
            return NotModifiedResponse(response.headers)
        return response

    return Route(path, serve, methods=["GET"])


def _accepts_gzip(accepted: str) -> bool:
    """Return True if the header Accept-Encoding names gzip, and not by a weight of 0."""
    offers = [each.partition(";") for each in accepted.lower().replace(" ", "").split(",")]
    none = ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return any(name == "gzip" and weight not in none for name, _, weight in offers)
