"""The web pages: the files of ``web/``, with headers that let it load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles

from protocols.shared.protocol import PathClass, Protocol

FOLDER = Path(__file__).parents[1] / "web"

# A machine's own table of media types may map .js to another type, which `nosniff` would block.
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

DOCS_PATH = "/docs"
STATIC = "/static/"
PAGES = {"/": "index.html", DOCS_PATH: "docs.html"}
PATHS = PAGES | {
    f"{STATIC}{path.name}": path.name
    for path in sorted(FOLDER.iterdir())
    if path.is_file() and path.name not in PAGES.values()
}
"""File names by path. The pages hold no secret and have to ask for the key, so these paths are public."""


def protocol() -> Protocol:
    """Return the page as the server mounts it."""
    return Protocol(lambda context: routes(), paths=dict.fromkeys(PATHS, PathClass.PAGE))


def routes() -> list[BaseRoute]:
    """Return a route for each file; its ETag is answered with 304."""
    files = StaticFiles(directory=FOLDER)
    return [_route(files, path, name) for path, name in PATHS.items()]


def _route(files: StaticFiles, path: str, name: str) -> BaseRoute:
    async def serve(request: Request) -> Response:
        response = await files.get_response(name, request.scope)
        response.headers.update(HEADERS)
        if response.status_code != 304:
            response.headers["content-type"] = MEDIA_TYPES[Path(name).suffix]
        return response

    return Route(path, serve, methods=["GET"])
