"""The Kani model joins late on a GPU: it takes over only once its speech is intelligible."""

from __future__ import annotations

import asyncio
import shutil
import socket
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.core.late_engine import LateEngine
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.plugin import KaniSettings
from kani.engines.whisper.engine import WhisperRecognizer
from tests.conftest import LOOK_AGAIN_S, StartServer
from tests.engines.cuda_driver import cuda_driver
from tests.engines.kani.conftest import model_beside, resources
from tests.support import patience
from tests.support.sessions import speak, started
from tests.support.tone import ToneEngine
from websocket_client import KaniTTSClient

pytestmark = [pytest.mark.heard, pytest.mark.usefixtures("uncompiled_codec")]


@pytest.mark.parametrize("weights", ["random", "not a number", "not here"])
async def test_failing_engine_does_not_join(
    settings: KaniSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture, weights: str
) -> None:
    model, cure = model_beside(settings), "--engine kani, or take other model files"
    if weights == "not here":
        model, cure = "owner/name", "--no-fetch"
    if weights == "not a number":
        file = Path(shutil.copytree(model, tmp_path / "broken"), "model.safetensors")
        save_file({key: torch.full_like(each, float("nan")) for key, each in load_file(file).items()}, file)
        model = str(file.parent)
    engine = KaniEngine(settings, resources(tmp_path / "cache", model=model))
    joining = LateEngine("kani", engine, WhisperRecognizer(models_dir=None, cache_dir=tmp_path), "es")
    async with started(tmp_path, ToneEngine(), late_engine=joining) as service:
        await patience.happens(lambda: joining.state not in ("loading", "trying"))
        assert await speak(service, "Hola")
        assert joining.state == "failed" and [info.name for info in service.engines] == ["tone"]
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "kani.core.late_engine"]
    assert warning.startswith("the kani engine does not join") and cure in warning


@pytest.fixture
def start_with_gpu(start_server: StartServer, tmp_path: Path) -> StartServer:
    """Start a server that finds a GPU's driver, and is told to take the processor."""
    return partial(start_server, "--device", "cpu", LD_LIBRARY_PATH=str(cuda_driver(tmp_path)))


async def test_server_speaks_while_gpu_model_loads(folder: Path, start_with_gpu: StartServer) -> None:
    model = "--model", str(folder / "tiny"), "--codec", str(folder / "codec.nemo")
    server = start_with_gpu(*model, "--precision", "float32", KANI_MAX_CONCURRENT="1")
    assert "loading  kani" in server.banner
    async with KaniTTSClient(server.host, server.port) as client:
        assert [part async for part in client.stream("Hola, ya hablo.")]
        async with asyncio.timeout(patience.WITHIN_S):
            while (facts := (await server.get("/health")).json())["joining"]["state"] in (
                "loading",
                "trying",
            ):
                assert facts["languages"]["es"] == "kokoro", "until then"
                await asyncio.sleep(LOOK_AGAIN_S)
        assert facts["joining"] == {"name": "kani", "state": "failed"}
        assert [engine["name"] for engine in facts["engines"]] == ["kokoro", "espeak"]
        assert [part async for part in client.stream("Sigo hablando.")]
    assert server.log.count("the kani engine does not join") == 1


async def test_hanging_hub_delays_nothing(start_with_gpu: StartServer) -> None:
    # It accepts connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as hub:
        server = start_with_gpu(HF_ENDPOINT=f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert "loading  kani" in server.banner
        async with KaniTTSClient(server.host, server.port) as client:
            assert [part async for part in client.stream("Hola, ya hablo.")]
        server.stop()
