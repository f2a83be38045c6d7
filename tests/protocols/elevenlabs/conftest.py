from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from kani.core.request import Limits
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.http.text_to_dialogue import dialogue_routes
from kani.protocols.elevenlabs.http.text_to_speech import speech_routes
from kani.protocols.elevenlabs.http.timed_speech import whole_answer_budget
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.websocket.routes import routes
from tests.support.servers.app_server import KEY, AppServer, app_server
from tests.support.sessions import started
from tests.support.tone import ToneEngine


@pytest.fixture(scope="session")
def keyed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that other machines reach, and that asks for the key ``KEY``."""
    folder = tmp_path_factory.mktemp("keyed_app")
    with app_server(folder, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as running:
        yield running


@dataclass
class ToneApp:
    """ElevenLabs' calls and WebSockets over the tone engine."""

    tone: ToneEngine
    service: SpeechService
    app: Starlette
    client: httpx.AsyncClient


@asynccontextmanager
async def tone_app(
    folder: Path, longest: int, engine: ToneEngine | None = None, **limits: float
) -> AsyncIterator[ToneApp]:
    """Serve; when it ends, nothing of any session is left. longest: text; limits: the service's own."""
    engine = engine or ToneEngine()
    async with started(folder, engine, limits=Limits(**limits)) as service:  # type: ignore[arg-type]
        settings, budget = ElevenLabsSettings(max_text=longest), whole_answer_budget()
        http = (*speech_routes(service, settings, budget), *dialogue_routes(service, settings, budget))
        app = Starlette(routes=[*http, *routes(service, settings)])
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield ToneApp(engine, service, app, client)
        assert (service.state().sessions, service.state().waiting, engine.under_way) == (0, 0, 0)
