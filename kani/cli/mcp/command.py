"""The command ``kani-tts mcp``: its options, and the transports stdio and streamable HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kani.cli.parser import Parser
from kani.cli.prerequisites import CANNOT_START, INTERRUPTED, USAGE
from kani.composition.host_names import is_loopback
from kani.library.asynchronous import settings_of
from kani.runtime.extras import install_command
from kani.server.access import AccessMiddleware, AccessRules

if TYPE_CHECKING:
    from kani.cli.mcp.tools import SpeechTools

PORT = 8002


def main(arguments: Sequence[str]) -> int:
    """Serve until the client leaves; return the exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    parser = Parser(
        prog="kani-tts mcp",
        description="Tools for coding agents: speak, listen, transcribe and voices, by MCP.",
        allow_abbrev=False,
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help="as for kani-tts serve")
    parser.add_argument("--recognizer", default="auto", metavar="NAME", help="as for kani-tts serve")
    parser.add_argument(
        "--http",
        type=int,
        nargs="?",
        const=PORT,
        metavar="PORT",
        help=f"serve http://HOST:PORT/mcp instead of standard input and output; {PORT} if not given",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="with --http")
    given = parser.parse_args(arguments)
    try:
        port = PORT if given.http is None else given.http
        settings = settings_of(engine=given.engine, recognizer=given.recognizer, port=port)
        keys = tuple(key.get_secret_value() for key in settings.api_keys)
        if given.http is not None and not (keys or is_loopback(given.host)):
            parser.error(f"--host {given.host}: other machines need a key, set KANI_API_KEYS")
        from kani.cli.mcp.tools import SpeechTools
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        install = install_command("mcp", "deploy/requirements-mcp.txt")
        print(f"kani-tts mcp: the package mcp is missing; {install}", file=sys.stderr)
        return USAGE
    except ValueError as error:
        print(f"kani-tts mcp: {error}", file=sys.stderr)
        return USAGE

    async def serve() -> None:
        tools = SpeechTools(given.engine, given.recognizer, files=is_loopback(given.host))
        try:
            if given.http is None:
                await tools.server.run_stdio_async()
            else:
                await _serve_http(tools, given.host, given.http, keys)
        finally:
            await tools.aclose()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"kani-tts mcp: {error.strerror or error}", file=sys.stderr)
        return CANNOT_START
    return 0


async def _serve_http(tools: SpeechTools, host: str, port: int, keys: tuple[str, ...]) -> None:
    """Serve clients that may come in as on the server: by key, and no web page of another site."""
    import uvicorn

    app = tools.server.streamable_http_app(host=host)
    rules = AccessRules(loopback=is_loopback(host), keys=keys)
    config = uvicorn.Config(AccessMiddleware(app, rules), host=host, port=port, log_level="warning")
    print(f"kani-tts mcp: http://{host}:{port}/mcp", file=sys.stderr)
    server = uvicorn.Server(config)
    try:
        await server.serve()
    except asyncio.CancelledError:
        await server.shutdown()
        raise
