"""The command line: python start_websocket_server.py --help."""

from __future__ import annotations

from kani.cli import prerequisites
from kani.cli.programs import LIST_VOICES, SERVER

with prerequisites.reported(__name__, SERVER, prerequisites.REQUIREMENTS):
    import asyncio
    import gc
    import logging
    import os
    import re
    import socket
    import sys
    from collections.abc import Callable, Mapping, Sequence
    from functools import partial
    from pathlib import Path
    from typing import TYPE_CHECKING

    from kani.cli import broken_pipe, interrupt
    from kani.cli.banner import banner
    from kani.cli.prerequisites import CANNOT_START, INTERRUPTED, USAGE
    from kani.cli.server_options import RECOGNIZER_WORKER, WORKER, parser
    from kani.composition import settings
    from kani.composition.settings.types import MOST_FRONTS
    from kani.core.errors import EngineUnavailable, InvalidRequest, SpeechError, UnknownVoice
    from kani.runtime.host_names import is_loopback
    from kani.server import logs
    from websocket_config import VERSION

if TYPE_CHECKING:
    from kani.core.engine import Engine
    from kani.core.recognizer import Recognizer
    from kani.server.app import BuildService
    from kani.server.lifecycle import RunningServer
    from kani.server.network.listeners import Listeners

WORKER_STOP_SECONDS = 10.0
VOICES_HINT = f"start without it, and list the voices with: {LIST_VOICES}"
ON_CARD = ("kani", "voxcpm", "kyutai")
"""Engines that use a graphics card where there is one."""

TLS = frozenset({"tls_cert", "tls_key"})


class CannotStart(Exception):
    """The command line cannot be run: the sentence that says why, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def main(arguments: Sequence[str] | None = None, program: str = SERVER) -> int:
    """Run the command line; return its exit code.

    0: done. 1: cannot start now, but a later start may succeed. 2: no start can, with these options, settings
    and packages. 130: interrupted. program: its name in complaints.
    """
    options, arguments = parser(program), sys.argv[1:] if arguments is None else arguments
    given = vars(options.parse_args(arguments))
    names = options.options_of(arguments)
    try:
        return _run(given, names)
    except KeyboardInterrupt:
        return INTERRUPTED
    except CannotStart as error:
        sentence, code = str(error), error.code
    except settings.SettingsError as error:
        sentence, code = str(error), USAGE
    except InvalidRequest as error:
        hint = f"; {VOICES_HINT}" if isinstance(error, UnknownVoice) else ""
        sentence, code = f"{_called(error.field, names)}: {error.reason}{hint}", USAGE
    except SpeechError as error:
        lasting = isinstance(error, EngineUnavailable) and not error.passing
        sentence, code = str(error), USAGE if lasting else CANNOT_START
    except MemoryError:
        sentence, code = "too little memory is free to start", CANNOT_START
    print(f"{program}: {_as_given(sentence, names)}", file=sys.stderr)
    return code


def _run(given: dict[str, object], names: Mapping[str, str]) -> int:
    """Do what the command line asks for; names: its options, by the names of their settings."""
    fetch, worker = given.pop("fetch", False), given.pop("worker", None)
    recognizer_worker = given.pop("recognizer_worker", None)
    chosen = settings.load(given, names=names)
    serves_clients = not (fetch or worker or recognizer_worker)
    if serves_clients and not (chosen.no_auth or chosen.api_keys or is_loopback(chosen.host)):
        # A key does not help where there is no address.
        for sock in _listen(chosen.host, 0):
            sock.close()
        raise CannotStart(
            f"{chosen.host} can be reached from other machines, and no key is set: set KANI_API_KEYS, "
            "listen on localhost, or require no key with --no-auth",
            USAGE,
        )
    if fetch and chosen.no_fetch:
        forbids = _called("no_fetch", names)
        raise CannotStart(f"{forbids} forbids what --fetch asks for: leave out one of them", USAGE)
    log_file = logs.configure(chosen.log_level, chosen.log_format, chosen.log_path, log_texts=chosen.log_text)
    for sentence in (*settings.variable_warnings(), *settings.plugin_warnings()):
        logging.getLogger("server").warning(sentence)
    if worker is not None:
        return _serve_servers(chosen, str(worker), False)
    if recognizer_worker is not None:
        return _serve_servers(chosen, str(recognizer_worker), True)
    return _fetch(chosen) if fetch else _serve_clients(chosen, log_file)


def _listen(host: str, port: int) -> list[socket.socket]:
    from kani.server.network.listeners import CannotListen, listen

    try:
        return listen(host, port)
    except CannotListen as error:
        raise CannotStart(str(error), CANNOT_START) from error


def _called(setting: str, names: Mapping[str, str]) -> str:
    """Return the option or the variable of a setting; ``names``: of the command line."""
    return names.get(setting) or settings.variables(setting)[0]


def _as_given(sentence: str, names: Mapping[str, str]) -> str:
    """Return a sentence with the variables of settings of the command line replaced by their options.

    A file of TLS that is missing is named as the one that was given.
    """
    if TLS.intersection(names):
        names = {each: "--" + each.replace("_", "-") for each in TLS} | dict(names)
    for setting in names.keys() & settings.fields().keys():
        sentence = re.sub(rf"\b{settings.variables(setting)[0]}\b", names[setting], sentence)
    return sentence


def _serve_clients(chosen: settings.Settings, log_file: Path | None) -> int:
    chosen = chosen.model_copy(update={"fronts": _fronts(chosen)})
    listening = _listen(chosen.host, chosen.port)
    port = listening[0].getsockname()[1]
    print(f"kani-tts {VERSION} is starting on {chosen.host} port {port}", flush=True)
    from kani.server.network.listeners import CannotListen

    try:
        if chosen.fronts == 1:
            return _serve(chosen, log_file, listening)
        from kani.server.fronts import plan

        role = plan.run(chosen, listening, partial(_serve, chosen, log_file), _serve_servers)
        return role if isinstance(role, int) else role()
    except CannotListen as error:
        raise CannotStart(str(error), CANNOT_START) from error
    finally:
        for sock in listening:
            sock.close()


def _fronts(chosen: settings.Settings) -> int:
    """Return the number of processes that serve clients. Raises CannotStart where there can be only one."""
    forbids = "need Linux" if sys.platform != "linux" else ""
    if chosen.idle_unload_seconds is not None:
        forbids = "unload no engine: leave out KANI_IDLE_UNLOAD_SECONDS"
    if chosen.fronts == "auto":
        on_card = chosen.engine in ON_CARD and chosen.device != "cpu" and Path("/dev/nvidiactl").exists()
        useful = not forbids and (on_card or chosen.engine == "remote")
        return min(len(os.sched_getaffinity(0)), MOST_FRONTS) if useful else 1
    if chosen.fronts > 1 and forbids:
        raise CannotStart(f"several fronts (KANI_FRONTS) {forbids}", USAGE)
    return chosen.fronts


def _serve(
    chosen: settings.Settings,
    log_file: Path | None,
    listening: Sequence[socket.socket] | Listeners,
    build: BuildService | None = None,
    announces: Callable[[], bool] = lambda: True,
) -> int:
    """Serve clients on open sockets; build: as of ``kani.server.app.serve``.

    announces: called when this process can serve; tells whether it is the one to announce the server.
    """
    # These imports take most of the start, and --help and an invalid setting need none of them. What they
    # leave in memory stays: searching it for garbage meanwhile, again and again, would take a tenth of them.
    gc.disable()
    import uvicorn

    from kani.composition.speech_service import build_service
    from kani.server.app import serve

    def announce(running: RunningServer) -> None:
        if announces():
            print(banner(running, log_file), flush=True)

    gc.freeze()
    gc.enable()
    loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(chosen, announce, build=build or build_service, listening=listening))
    return 0


def _serve_servers(
    chosen: settings.Settings, address: str, recognizer: bool, served_here: Callable[[], None] | None = None
) -> int:
    """Serve the engine, or the recogniser, at an address to other servers.

    served_here: called when they can connect; without it a line on the terminal says so.
    """
    import uvicorn

    from kani.composition.speech_service import engine_key, engine_worker, recognizer_worker
    from kani.engines.remote.address import Address
    from kani.engines.remote.handshake import check_key
    from kani.engines.worker.server import serve_worker
    from kani.server.lifecycle import stop_on_signal
    from kani.server.watchdog import watch_event_loop

    def announce(address: Address) -> None:
        name = chosen.recognizer if recognizer else chosen.engine
        if served_here is not None:
            served_here()
            return
        print(f"kani-tts {VERSION} serves {name} on {address}; Ctrl+C stops it", flush=True)

    async def serve(address: Address) -> None:
        served, new_worker = recognizer_worker(chosen) if recognizer else engine_worker(chosen)
        # The fronts of this server, which look for it at a path of their own, have no key.
        key, drain_s = "" if served_here else engine_key(chosen), chosen.shutdown_seconds
        check_key(address, key)
        within_s = drain_s + WORKER_STOP_SECONDS
        with stop_on_signal(within_s) as stop:
            async with watch_event_loop(within_s):
                await served.start()
                try:
                    await serve_worker(new_worker(""), address, key, stop, announce, drain_s)
                finally:
                    await served.stop()

    try:
        parsed = Address.parse(address)
    except ValueError as error:
        raise CannotStart(f"{RECOGNIZER_WORKER if recognizer else WORKER}: {error}", USAGE) from error
    loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(parsed))
    return 0


def _fetch(chosen: settings.Settings) -> int:
    # An engine that has started has downloaded and verified its files.
    from kani.composition.speech_service import Builder

    builder = Builder(chosen)

    async def start_each() -> None:
        wanted: list[Engine | Recognizer | None] = []
        joining = None
        if await asyncio.to_thread(builder.prepare_engine):
            print(f"{chosen.engine} has all it needs", flush=True)
        else:
            engines = builder.engines()
            joining = engines.late[1] if engines.late is not None else None
            wanted += [joining, *engines.required]
        if await asyncio.to_thread(builder.prepare_recognizer):
            print(f"{chosen.recognizer} has all it needs", flush=True)
        else:
            wanted.append(builder.recognizer())
        for each in wanted:
            if each is None:
                continue
            try:
                await each.start()
            except EngineUnavailable as error:
                if each is not joining:
                    raise
                print(f"{error}; the other engines are used", flush=True)
                continue
            print(f"{each.info.name} {each.info.version} has all it needs", flush=True)
            await each.stop()

    interrupt.run(start_each())
    return 0


if __name__ == "__main__":
    # Most packages are imported by what main() starts.
    with prerequisites.reported(__name__, SERVER, prerequisites.REQUIREMENTS), broken_pipe.tolerated():
        sys.exit(main())
