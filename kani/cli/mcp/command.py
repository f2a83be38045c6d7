"""The command ``kani-tts mcp``: its options, and the transports stdio and streamable HTTP."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from kani.cli.parser import Parser
from kani.cli.prerequisites import CANNOT_START, INTERRUPTED, USAGE
from kani.cli.programs import COMMAND
from kani.composition.settings import Settings, load
from kani.runtime.extras import install_command
from kani.runtime.host_names import is_loopback
from kani.server.lifecycle import CLOSE_SECONDS, STOP_SECONDS, stop_on_signal
from kani.server.network.listeners import CannotListen, listen
from websocket_config import PUBLIC_TOKEN

if TYPE_CHECKING:
    from kani.cli.mcp.tools import SpeechTools

PORT = 8002
PROGRAM = f"{COMMAND} mcp"


def main(arguments: Sequence[str]) -> int:
    """Serve until the client leaves; return the exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    parser = Parser(
        prog=PROGRAM, description="Tools for coding agents: speak, listen, transcribe and voices, by MCP."
    )
    parser.add_argument("--engine", default="auto", metavar="NAME", help=f"as for {COMMAND} serve")
    parser.add_argument("--recognizer", default="auto", metavar="NAME", help=f"as for {COMMAND} serve")
    parser.add_argument(
        "--http",
        type=int,
        nargs="?",
        const=PORT,
        metavar="PORT",
        help=f"serve http://HOST:PORT/mcp instead of standard input and output; {PORT} if not given",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="with --http")
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="with --http: clients may read and replace the sound files of this folder; may be given again",
    )
    given = parser.parse_args(arguments)
    try:
        settings = _settings(parser, given)
        from kani.cli.mcp.tools import SpeechTools
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        install = install_command("mcp", "deploy/requirements-mcp.txt")
        print(f"{PROGRAM}: the package mcp is missing; {install}", file=sys.stderr)
        return USAGE
    except ValueError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return USAGE

    folders = None if given.http is None else [folder.resolve() for folder in given.folder]

    async def serve() -> None:
        tools = SpeechTools(given.engine, given.recognizer, folders)
        try:
            if given.http is None:
                await tools.server.run_stdio_async()
            else:
                await _serve_http(tools, settings)
        finally:
            await tools.aclose()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return INTERRUPTED
    except (CannotListen, OSError) as error:
        print(f"{PROGRAM}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return CANNOT_START
    return 0


def _settings(parser: Parser, given: argparse.Namespace) -> Settings:
    """Return the settings of the options and the environment. Raises ValueError."""
    port = PORT if given.http is None else given.http
    settings = load(
        {"engine": given.engine, "recognizer": given.recognizer, "host": given.host, "port": port},
        env_file=Path(os.devnull),
        names={"engine": "--engine", "recognizer": "--recognizer", "host": "--host", "port": "--http"},
    )
    if given.http is None and given.folder:
        parser.error("--folder: only with --http; by standard input the client names its folders (roots)")
    for folder in given.folder:
        if not folder.is_dir():
            parser.error(f"--folder {folder}: is no folder")
    secret = {key.get_secret_value() for key in settings.api_keys} - {PUBLIC_TOKEN}
    if given.http is not None and not secret:
        if settings.api_keys:
            parser.error(f"KANI_API_KEYS holds no key but {PUBLIC_TOKEN}, which everybody knows")
        if not is_loopback(given.host):
            parser.error(f"--host {given.host}: other machines need a key, set KANI_API_KEYS")
    return settings


async def _serve_http(tools: SpeechTools, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl+C."""
    from kani.cli.mcp.front import serve_http

    with ExitStack() as stack:
        sockets = [stack.enter_context(sock) for sock in listen(settings.host, settings.port, "--http PORT")]
        stop = stack.enter_context(stop_on_signal(CLOSE_SECONDS + STOP_SECONDS))
        host, port = sockets[0].getsockname()[:2]
        print(f"{PROGRAM}: http://{f'[{host}]' if ':' in host else host}:{port}/mcp", file=sys.stderr)
        if not settings.api_keys:
            print(
                f"{PROGRAM}: without KANI_API_KEYS each user and program of this machine may speak, listen "
                "by the microphone, and read and replace sound files in each --folder",
                file=sys.stderr,
            )
        await serve_http(tools.server, sockets, settings, stop)
