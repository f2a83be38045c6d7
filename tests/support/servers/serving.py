"""The whole server in this process: real sockets and real settings, over the tone engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from kani.cli.banner import banner
from kani.composition.settings import Settings, load
from kani.composition.speech_service import build_chat_model, limits_of
from kani.composition.voices.place import voice_place
from kani.core.diarization.diarizer import Diarizer
from kani.core.observer import Observer
from kani.core.recognizer import Recognizer
from kani.core.service import Parts, SpeechService
from kani.core.turns.pause_judge import TurnModel
from kani.core.voices.catalogue import VoiceStore
from kani.server.app import serve
from kani.server.lifecycle import RunningServer
from tests.support.servers.address import FREE_PORTS, Addressed
from tests.support.tone import ToneEngine


@dataclass
class InProcessServer(Addressed):
    engine: ToneEngine = field(default_factory=ToneEngine)
    service: SpeechService = field(init=False)
    stop: asyncio.Event = field(default_factory=asyncio.Event)  # ends the server, as SIGTERM does
    banner: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    compat: dict[str, int] = field(default_factory=dict)  # further ports, by the protocol of each
    streams: dict[str, int] = field(default_factory=dict)  # those without HTTP, by the protocol of each


@asynccontextmanager
async def serving(
    folder: Path,
    recognizer: Recognizer | None = None,
    engine: ToneEngine | None = None,
    diarizer: Diarizer | None = None,
    turn_model: TurnModel | None = None,
    others: Sequence[ToneEngine] = (),
    **environment: str,
) -> AsyncIterator[InProcessServer]:
    """Serve while the body runs, settings by their variables: ``serving(tmp_path, KANI_MAX_TEXT="50")``.

    others: engines after the first.
    """
    own = FREE_PORTS | {"KANI_DATA_DIR": str(folder / "data")}
    settings = load({}, own | environment, folder / "no file")
    server, ready = InProcessServer(engine or ToneEngine()), asyncio.Event()

    def build(settings: Settings, observer: Observer, _: CollectorRegistry) -> SpeechService:
        server.service = SpeechService(
            [server.engine, *others],
            VoiceStore(voice_place(settings.voice_bucket, settings.data_dir)),
            limits_of(settings),
            observer,
            Parts(
                default_language=settings.language,
                default_voice=settings.voice,
                one_language=settings.one_language,
                recognizer=recognizer,
                diarizer=diarizer,
                turn_model=turn_model,
                chat_model=build_chat_model(settings),
            ),
        )
        return server.service

    def announce(running: RunningServer) -> None:
        server.banner = banner(running)
        server.port = running.listeners.port
        server.compat = {each.protocol: port for each, port in running.listeners.compat.items()}
        listeners = running.listeners
        server.streams = {each.name: listeners.addresses(each)[0][1] for each in listeners.streams}
        ready.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(settings, announce, stop=server.stop, build=build))
        task.add_done_callback(lambda _: ready.set())
        await ready.wait()
        if not task.done():
            try:
                yield server
            finally:
                server.stop.set()
