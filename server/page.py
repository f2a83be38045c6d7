"""The web page: the files of ``web/``, and headers that let it load nothing but itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from protocols.shared.protocol import PathClass, Protocol

FOLDER = Path(__file__).parents[1] / "web"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, as it is sent."""

    body: bytes
    media_type: str
    etag: str


def _read(path: Path) -> PageFile:
    body = path.read_bytes()
    return PageFile(body, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def files() -> dict[str, PageFile]:
    """The page's files by the path they are served at: ``/`` and ``/static/NAME``."""
    found = {f"/static/{path.name}": _read(path) for path in sorted(FOLDER.iterdir()) if path.is_file()}
    return {"/": found.pop("/static/index.html"), **found}


PATHS = frozenset(files())
"""Where the page is: served to everybody, as it holds no secret and has to ask for the key."""


def protocol() -> Protocol:
    """Return the page as the server mounts it."""
    return Protocol(lambda context: routes(), paths=dict.fromkeys(PATHS, PathClass.PAGE))


def routes() -> list[BaseRoute]:
    """GET and HEAD of every file of the page; 304 where the browser has it already."""
    return [_route(path, file) for path, file in files().items()]


def _route(path: str, file: PageFile) -> Route:
    async def serve(request: Request) -> Response:
        headers = {**HEADERS, "etag": file.etag}
        if _has(request.headers.get("if-none-match", ""), file.etag):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.media_type)

    return Route(path, serve, methods=["GET"])


def _has(asked: str, etag: str) -> bool:
    """Whether an If-None-Match header names ``etag``; a proxy that compresses makes it a weak one."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in asked.split(","))
