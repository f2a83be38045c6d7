"""The protocols that take recordings, on a real port, over engines, one of them cloning."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from kani.core.voices.store import NewVoice
from tests.support.patience import happens
from tests.support.servers.address import Addressed
from tests.support.servers.serving import InProcessServer, serving
from tests.support.tone import LEVEL, ToneEngine

RECORDING_RATE = 16_000
NO_SPEECH = "there is no speech in the recording: record some sentences of the voice"


@dataclass(frozen=True)
class CloningServer(Addressed):
    """The server's engine comes first and does not clone, ``echo`` does; folder: of VoxCPM's voices."""

    server: InProcessServer
    echo: ToneEngine
    folder: Path

    @property
    def port(self) -> int:  # type: ignore[override]
        return self.server.port

    async def keep(self, name: str, level: float) -> None:
        await self.server.service.cloning.add(new_voice(name, level))


def hum(seconds: float = 4.0, level: float = 0.25) -> bytes:
    """A recording, as a file; ``level`` (0.25, 0.5 …) is what the tests' engine takes from it."""
    times = np.arange(round(seconds * RECORDING_RATE)) / RECORDING_RATE
    return wav((level * np.sin(2 * np.pi * 200 * times)).astype(np.float32), RECORDING_RATE)


def new_voice(name: str, level: float) -> NewVoice:
    return NewVoice(name, hum(4.0, level), consent="It is me.", origin="test", language="es")


def loudness(samples: Samples) -> float:
    """Loudness of the engine, rounded to quarters: the ``level`` of the ``hum`` that it imitates."""
    return round(4 * float(np.abs(samples).max()) / LEVEL) / 4


@asynccontextmanager
async def cloning_server(folder: Path, **environment: str) -> AsyncIterator[CloningServer]:
    """Serve; when it ends, nothing of any session is left."""
    echo, voices = ToneEngine(clones=True, name="echo"), folder / "voices"
    voices.mkdir()
    own = {"KANI_VOICE_DIR": str(voices)}
    async with serving(folder, others=[echo], **own, **environment) as server:
        yield CloningServer(server, echo, voices)
        await happens(lambda: server.service is not None and server.service.state().sessions == 0)
