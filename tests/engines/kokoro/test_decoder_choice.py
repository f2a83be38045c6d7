"""Decoder selection: LiteRT's where it runs, onnxruntime's where it does not."""

from __future__ import annotations

import io
import logging
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.kokoro import decoder_choice
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.litert.packing.store import PackedNetwork
from kani.engines.kokoro.network.decoder import Decoder, DecoderUnavailable
from kani.server.settings import SettingsError, load
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import chunks_of
from tests.support.patience import WITHIN_S

SENTENCE = "El río baja tranquilo entre los álamos."
HELLO = Segment("Hola.", "ef_dora", "es")


def not_imported(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "kani.engines.kokoro.litert.decoder", None)


def not_fit(patch: pytest.MonkeyPatch) -> None:
    def load(packed: PackedNetwork, cores: int) -> Decoder:
        raise DecoderUnavailable("its speech is 3 dB from float32's, not 10")

    patch.setattr("kani.engines.kokoro.litert.decoder.load_litert_decoder", load)


@pytest.mark.heard
@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (not_imported, "the package ai-edge-litert cannot be imported"),
        (not_fit, "its speech is 3 dB from float32's, not 10"),
    ],
)
async def test_auto_falls_back_and_litert_refuses(
    new_engine: Callable[..., KokoroEngine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    breaks(monkeypatch)
    engine = new_engine("auto")
    with caplog.at_level(logging.INFO):
        await engine.start()
    assert engine.info.decoder == "onnx"
    assert engine.info.slow_decoder_reason.startswith(f"LiteRT's is unavailable: {reason}")
    lines = [record.getMessage() for record in caplog.records if record.name == decoder_choice.__name__]
    assert lines == [f"Kokoro decoder: onnxruntime, {engine.info.slow_decoder_reason}"]
    assert sum(chunk.duration_s for chunk in await chunks_of(engine, HELLO)) > 0.3
    with pytest.raises(EngineUnavailable, match=rf"{reason}.*set KANI_KOKORO_DECODER=auto"):
        await new_engine("litert").start()


@pytest.mark.heard
async def test_decoder_is_chosen_by_name(new_engine: Callable[..., KokoroEngine]) -> None:
    onnx, litert = new_engine("onnx"), new_engine("litert")
    await onnx.start()
    await litert.start()
    assert (onnx.info.decoder, litert.info.decoder) == ("onnx", "litert")
    assert onnx.info.slow_decoder_reason.startswith("set by KANI_KOKORO_DECODER")
    assert litert.info.slow_decoder_reason == ""
    one, other = [await chunks_of(engine, HELLO) for engine in (onnx, litert)]
    assert not np.array_equal(one[0].samples, other[0].samples)


@pytest.mark.parametrize(
    ("given", "chosen"), [("fast", "litert"), ("LITERT", "litert"), ("onnx", "onnx"), ("auto", "auto")]
)
def test_setting_names_decoder(tmp_path: Path, given: str, chosen: str) -> None:
    assert load({}, {"KANI_KOKORO_DECODER": given}, tmp_path / "none").value("kokoro_decoder") == chosen


def test_other_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="one of auto, onnx, litert"):
        load({}, {"KANI_KOKORO_DECODER": "torch"}, tmp_path / "none")


def test_default_server_uses_litert(server: ServerProcess) -> None:
    assert httpx.get(f"{server.http_url}/health").json()["decoder"] == "litert"
    assert "\nkani_fast_decoder 1.0" in httpx.get(f"{server.http_url}/metrics").text
    assert "  decoder  litert\n" in server.banner


@pytest.mark.heard
@pytest.mark.parametrize("fixture", ["server", "onnx_server"])
def test_decoder_is_intelligible_through_server(request: pytest.FixtureRequest, fixture: str) -> None:
    running: ServerProcess = request.getfixturevalue(fixture)
    answer = httpx.post(f"{running.http_url}/tts", json={"text": SENTENCE, "language": "es"})
    with wave.open(io.BytesIO(answer.raise_for_status().content)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    heard = hear(samples.astype(np.float32) / 32768, rate, "es")
    assert word_error_rate(SENTENCE, heard, "es") == 0, heard


def test_fetch_packs_all_that_a_start_needs(start_server: StartServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    kokoro = ("--engine", "kokoro", "--recognizer", "none")
    fetching = start_server(*kokoro, "--fetch", KANI_CACHE_DIR=str(cache), ready=False)
    assert fetching.process.wait(WITHIN_S) == 0, fetching.terminal
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert {path.name[:14] for path in made if path.suffix == ".zip"} == {"kokoro-litert-"}
    start_server(*kokoro, KANI_CACHE_DIR=str(cache)).stop()
    later = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    # A start notes how long it took.
    assert made == {path: time for path, time in later.items() if path.name != "start-seconds.json"}
