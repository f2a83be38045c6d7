"""The Kani model joins late on a GPU: it takes over only once its speech is intelligible."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.core.late_engine.loading import LateEngine
from kani.core.types import Segment, SpeechChunk, SpeechRequest
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.settings import KaniSettings
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.engines.whisper.engine import WhisperRecognizer
from tests.conftest import StartServer
from tests.engines.cuda_driver import cuda_driver
from tests.engines.kani.conftest import resources
from tests.support.sessions import build
from tests.support.tone import ToneEngine
from websocket_client import KaniTTSClient

pytestmark = [pytest.mark.heard, pytest.mark.usefixtures("uncompiled_codec")]

READY_WITHIN_S = 300.0


async def joined(engine: KaniEngine | KokoroVoice, tmp_path: Path) -> tuple[str, list[str], list[str]]:
    """Result of a late engine beside a tone engine: its state, the engines, and later speech."""
    tone = ToneEngine()
    joining = LateEngine("kani", engine, WhisperRecognizer(models_dir=None, cache_dir=tmp_path), "es")
    service = build(tmp_path, tone, late_engine=joining)
    await service.start()
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while joining.state in ("loading", "trying"):
                await asyncio.sleep(0.01)
        async with service.open(SpeechRequest(language="es"), protocol="test") as session:
            session.feed("Hola")
            session.finish()
            assert [chunk async for chunk in session]
        return joining.state, [info.name for info in service.engines], tone.words
    finally:
        await service.stop()


class KokoroVoice:
    """A Kani engine with good weights: named Kani, speaks as Kokoro does."""

    def __init__(self, cache: Path) -> None:
        self._kokoro = KokoroEngine(KokoroSettings(), Resources(cache))

    async def start(self) -> None:
        await self._kokoro.start()
        info = self._kokoro.info
        voices = tuple(replace(voice, id=f"kani:{voice.id}", engine="kani") for voice in info.voices)
        self.info = replace(
            info,
            name="kani",
            voices=voices,
            default_voices={tag: f"kani:{voice}" for tag, voice in info.default_voices.items()},
            accepts_partial_text=False,
        )

    async def stop(self) -> None:
        await self._kokoro.stop()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        own = replace(segment, voice=segment.voice.removeprefix("kani:"))
        async for chunk in self._kokoro.synthesize(own):
            yield chunk


async def test_good_weights_join_late(cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "kani.core.late_engine.loading"):
        assert await joined(KokoroVoice(cache), tmp_path) == ("speaking", ["kani", "tone"], [])
    assert (
        "kani 1.0 int8 has joined, and speaks de en es fr hi it ja nl pl pt ru zh from now on" in caplog.text
    )


Given = tuple[KaniSettings, Resources]


def changed(settings: KaniSettings, tmp_path: Path, device: str = "cpu", **changes: Any) -> Given:
    return settings.model_copy(update=changes), resources(tmp_path / "cache", device)


def noise(settings: KaniSettings, tmp_path: Path) -> Given:
    return changed(settings, tmp_path)


def not_a_number(settings: KaniSettings, tmp_path: Path) -> Given:
    """Damaged weights."""
    copy = Path(shutil.copytree(str(settings.model), tmp_path / "broken"))
    tensors = load_file(copy / "model.safetensors")
    save_file(
        {key: torch.full_like(each, float("nan")) for key, each in tensors.items()},
        copy / "model.safetensors",
    )
    return changed(settings, tmp_path, model=str(copy))


def out_of_memory(settings: KaniSettings, tmp_path: Path) -> Given:
    return changed(settings, tmp_path, slots=10**9)


def no_such_files(settings: KaniSettings, tmp_path: Path) -> Given:
    return changed(settings, tmp_path, model="owner/name")


def no_gpu(settings: KaniSettings, tmp_path: Path) -> Given:
    return changed(settings, tmp_path, "cuda:7")


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (noise, "--engine kani, or take other model files"),
        (not_a_number, "--engine kani, or take other model files"),
        (out_of_memory, "--slots"),
        (no_such_files, "--no-fetch"),
        (no_gpu, "CUDA"),
    ],
)
async def test_failing_engine_does_not_join(
    settings: KaniSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[KaniSettings, Path], Given],
    cure: str,
) -> None:
    engine = KaniEngine(*change(settings, tmp_path))
    assert await joined(engine, tmp_path) == ("failed", ["tone"], ["Hola"])
    (warning,) = [
        record.getMessage() for record in caplog.records if record.name == "kani.core.late_engine.loading"
    ]
    assert warning.startswith("the kani engine does not join") and cure in warning


async def test_silent_engine_does_not_join(
    settings: KaniSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.engines.kani.model.codec.nanocodec.NanoCodec.decode", _silent)
    engine = KaniEngine(settings, resources(tmp_path / "cache"))
    assert await joined(engine, tmp_path) == ("failed", ["tone"], ["Hola"])
    assert "no voice" in caplog.text


def _silent(self: object, codes: torch.Tensor, *rest: object) -> torch.Tensor:
    return torch.zeros(len(codes), codes.shape[1] * 1764)


async def health(url: str) -> dict[str, object]:
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"{url}/health")).json()


async def test_server_speaks_while_gpu_model_loads(
    folder: Path, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(
        "--model", str(folder / "tiny"), "--codec", str(folder / "codec.nemo"),
        "--device", "cpu", "--precision", "float32", "--slots", "1",
        LD_LIBRARY_PATH=str(cuda_driver(tmp_path)),
    )  # fmt: skip
    assert "loading  kani" in server.banner
    async with KaniTTSClient(server.host, server.port) as client:
        assert [part async for part in client.stream("Hola, ya hablo.")]
        async with asyncio.timeout(READY_WITHIN_S):
            while (facts := await health(server.http_url))["joining"]["state"] in ("loading", "trying"):
                assert facts["languages"]["es"] == "kokoro"
                await asyncio.sleep(0.1)
        assert facts["joining"] == {"name": "kani", "state": "failed"}
        assert [engine["name"] for engine in facts["engines"]] == ["kokoro", "espeak"]
        assert [part async for part in client.stream("Sigo hablando.")]
    assert server.log.count("the kani engine does not join") == 1


@pytest.fixture
async def mute_hub() -> AsyncIterator[str]:
    """Address of a hub that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_hanging_hub_delays_nothing(
    folder: Path, start_server: StartServer, tmp_path: Path, mute_hub: str
) -> None:
    server = start_server("--device", "cpu", LD_LIBRARY_PATH=str(cuda_driver(tmp_path)), HF_ENDPOINT=mute_hub)
    assert "loading  kani" in server.banner
    async with KaniTTSClient(server.host, server.port) as client:
        assert [part async for part in client.stream("Hola, ya hablo.")]
    server.stop()


async def test_no_fetch_is_logged(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(
        "--no-fetch",
        "--device",
        "cpu",
        LD_LIBRARY_PATH=str(cuda_driver(tmp_path)),
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    async with asyncio.timeout(READY_WITHIN_S):
        while (await health(server.http_url))["joining"] != {"name": "kani", "state": "failed"}:
            await asyncio.sleep(0.1)
    assert "nineninesix/kani-tts-370m is not here, and is not fetched unasked" in server.log
