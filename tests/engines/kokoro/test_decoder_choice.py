"""Decoder selection: loading in the background, exchange under running streams, failures."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

import engines.kokoro.engine
from engines.kokoro.decoder_build import DecoderBuild
from engines.kokoro.decoder_choice import Int8DecoderLoader, load_int8_decoder
from engines.kokoro.engine import KokoroEngine
from engines.kokoro.int8.loader import Pause
from engines.kokoro.network.decoder import Decoder, Window
from engines.kokoro.network.onnx_decoder import OnnxGenerator, load_onnx_decoder
from engines.kokoro.network.onnx_model import Stop
from engines.kokoro.network.parts import LoadPart
from engines.kokoro.scheduler import IdleMonitor
from server.lifecycle import RunningServer
from server.settings import load
from speech.errors import EngineUnavailable
from speech.types import Samples, Segment, SpeechChunk
from tests.conftest import ServerProcess, StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import Writer, chunks_of
from tests.support.patience import WITHIN_S
from websocket_server import serve

ROOT = Path(__file__).parents[3]
SENTENCES = [
    Segment(text, "ef_dora", "es")
    for text in (
        "El río baja tranquilo entre los álamos.",
        "La biblioteca cierra los domingos.",
        "Nadie lee allí.",
    )
]
HELLO = Segment("Hola.", "ef_dora", "es")
STREAMS = 3


class Other(Decoder):
    """The published graph under the name of the int8 decoder."""


def other(part: LoadPart) -> Other:
    decoder = load_onnx_decoder(part, 1)
    return Other("fast", decoder.feature_decoder, decoder.generator, 12)


@pytest.fixture(scope="module")
def fast(cache: Path, part: LoadPart) -> Decoder:
    try:
        return load_int8_decoder(part, cache, 2)
    except EngineUnavailable:
        return other(part)


class Gate:
    """Loads its decoder once it is opened."""

    def __init__(self, decoder: Decoder) -> None:
        self.opened = threading.Event()
        self._decoder = decoder

    def load(self, *_: object, **__: object) -> Decoder:
        assert self.opened.wait(WITHIN_S)
        return self._decoder


class Prepared(DecoderBuild):
    """A finished build, on a machine that loads in the background."""

    is_needed = True

    def run(self, part: LoadPart, *, low_priority: bool) -> None:
        """Nothing is left to do."""


@pytest.fixture
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.kokoro.engine, "DecoderBuild", Prepared)
    monkeypatch.setattr(engines.kokoro.engine, "real_time_factor", lambda generator: 0.1)


def same(chunks: list[SpeechChunk], others: list[SpeechChunk]) -> bool:
    return len(chunks) == len(others) and all(
        np.array_equal(one.samples, other.samples) and one.spans == other.spans
        for one, other in zip(chunks, others, strict=True)
    )


@pytest.mark.usefixtures("in_background")
async def test_streams_continue_while_decoder_changes(
    new_engine: Callable[..., KokoroEngine], fast: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = new_engine("onnx")
    await onnx.start()
    before = [await chunks_of(onnx, sentence) for sentence in SENTENCES[:2]]
    gate = Gate(fast)
    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", gate.load)
    engine = new_engine("auto")
    await engine.start()
    begun = 0

    async def stream() -> list[list[SpeechChunk]]:
        nonlocal begun
        said: list[list[SpeechChunk]] = []
        for sentence in SENTENCES:
            if sentence is SENTENCES[-1]:
                await engine.wait_until_loaded()
            said.append([])
            async for chunk in engine.synthesize(sentence):
                begun += not any(said)
                if begun == STREAMS:
                    gate.opened.set()
                said[-1].append(chunk)
        return said

    streams = await asyncio.gather(*(stream() for _ in range(STREAMS)))
    assert engine.info.decoder == "fast"
    after = [await chunks_of(engine, sentence) for sentence in SENTENCES[1:]]
    assert not same(before[1], after[0])
    for first, second, third in streams:
        assert same(first, before[0]) and len(first) > 2
        assert same(second, before[1]) or same(second, after[0])
        assert same(third, after[1])


class Silent(OnnxGenerator):
    """Generates silence."""

    def generate(self, window: Window, stop: Stop) -> Samples:
        return np.zeros_like(super().generate(window, stop))


@pytest.mark.usefixtures("in_background")
async def test_growing_sentence_keeps_its_decoder(
    new_engine: Callable[..., KokoroEngine], part: LoadPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(replace(other(part), generator=Silent(part("generator"), 1)))
    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", gate.load)
    engine = new_engine("auto")
    await engine.start()
    writer = Writer("El río baja tranquilo entre los álamos y nadie lo mira desde la orilla.", 7)
    segment = Segment(writer.text.text, "ef_dora", "es")
    peaks: list[float] = []
    async for chunk in engine.stream(segment, writer.text):
        if not peaks:
            assert writer.text.boundary is None
            gate.opened.set()
            await engine.wait_until_loaded()
            assert engine.info.decoder == "fast"
        peaks.append(float(np.abs(chunk.samples).max()))
    assert len(peaks) > 2 and min(peaks) > 0.001
    assert not any(np.any(chunk.samples) for chunk in await chunks_of(engine, HELLO))


async def test_decoder_fast_is_loaded_before_start_returns(
    new_engine: Callable[..., KokoroEngine], fast: Decoder
) -> None:
    engine = new_engine("fast")
    if isinstance(fast, Other):
        with pytest.raises(EngineUnavailable, match="KANI_KOKORO_DECODER=auto"):
            await engine.start()
        pytest.skip("the int8 decoder is unavailable on this machine")
    await engine.start()
    assert engine.info.decoder == "fast"
    assert sum(chunk.duration_s for chunk in await chunks_of(engine, HELLO)) > 0.3


@pytest.mark.server
@pytest.mark.parametrize("decoder", ["auto", "fast"])
def test_missing_numba_falls_back_or_refuses_start(cache: Path, decoder: str) -> None:
    code = (
        "import asyncio, logging, sys, pathlib\n"
        "sys.modules['numba'] = None\n"
        "logging.basicConfig(level='INFO', format='%(levelname)s %(message)s', stream=sys.stdout)\n"
        "from engines.kokoro.engine import KokoroEngine\n"
        "from engines.settings import KokoroSettings\n"
        "from speech.types import Segment\n"
        "async def main():\n"
        "    engine = KokoroEngine(KokoroSettings(None, pathlib.Path(sys.argv[1]), decoder=sys.argv[2]))\n"
        "    await engine.start()\n"
        "    print([c async for c in engine.synthesize(Segment('Hola.', 'ef_dora', 'es'))] != [])\n"
        "    await engine.stop()\n"
        "    print(engine.info.decoder, 'torch' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), decoder],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    missing = "numba cannot be imported; pip install -r requirements.txt brings it"
    if decoder == "auto":
        lines = sorted(done.stdout.splitlines())
        assert lines == [
            f"INFO Kokoro decoder: onnxruntime; the fast decoder is unavailable: {missing}",
            "True",
            "onnx False",
        ]
        assert done.stderr == "" and done.returncode == 0
    else:
        reason = f"fast decoder is unavailable ({missing}): set KANI_KOKORO_DECODER=auto"
        assert reason in done.stderr.splitlines()[-1] and done.stdout == ""


@pytest.mark.heard
async def test_unexpected_loading_error_is_logged_and_onnxruntime_stays(
    new_engine: Callable[..., KokoroEngine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> Decoder:
        raise ZeroDivisionError("by a loader")

    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", broken)
    engine = new_engine("auto")
    await engine.start()
    assert await chunks_of(engine, HELLO)
    await engine.stop()
    (record,) = [record for record in caplog.records if record.name == "engines.kokoro.decoder_choice"]
    assert record.levelname == "ERROR" and record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert engine.info.decoder == "onnx"


async def test_stop_waits_for_loading_step(
    part: LoadPart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked, stopped = threading.Event(), threading.Event()
    used: list[Decoder] = []

    def load(part: LoadPart, folder: Path, pause: Pause | None) -> Decoder:
        decoder = other(part)
        asked.set()
        assert stopped.wait(WITHIN_S)
        part("decoder")
        return decoder

    # Engines of other tests have such a thread, too.
    before = threading.enumerate()
    unavailable: list[str] = []
    loader = Int8DecoderLoader(load, part, used.append, Prepared(tmp_path, 1), unavailable.append)
    loader.load_in_background(IdleMonitor())
    assert await asyncio.to_thread(asked.wait, WITHIN_S)
    stopping = asyncio.create_task(loader.stop())
    await asyncio.wait([stopping], timeout=0.1)
    assert not stopping.done()
    stopped.set()
    await asyncio.wait_for(stopping, WITHIN_S)
    assert not used and not unavailable
    assert not [each for each in caplog.records if each.name == "engines.kokoro.decoder_choice"]
    new = [thread for thread in threading.enumerate() if thread not in before]
    assert not [thread for thread in new if thread.name.startswith("kokoro-decoder")]


async def test_loader_that_never_began_stops(part: LoadPart, tmp_path: Path) -> None:
    used: list[Decoder] = []
    refused: list[str] = []
    loader = Int8DecoderLoader(
        lambda part, folder, pause: other(part), part, used.append, Prepared(tmp_path, 1), refused.append
    )
    await asyncio.wait_for(loader.stop(), WITHIN_S)
    assert not used and not refused


@pytest.mark.usefixtures("in_background")
async def test_wait_until_loaded_returns_when_loading_ends(
    new_engine: Callable[..., KokoroEngine], part: LoadPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = new_engine("onnx")
    await onnx.start()
    await onnx.wait_until_loaded()
    assert onnx.info.slow_decoder_reason.startswith("set by KANI_KOKORO_DECODER")
    gate = Gate(other(part))
    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", gate.load)
    engine = new_engine("auto")
    await engine.start()
    settled = asyncio.create_task(engine.wait_until_loaded())
    await asyncio.wait([settled], timeout=0.1)
    assert not settled.done() and engine.info.decoder == "onnx"
    assert "being prepared" in engine.info.slow_decoder_reason
    gate.opened.set()
    await settled
    assert (engine.info.decoder, engine.info.slow_decoder_reason) == ("fast", "")

    def unavailable(*_: object, **__: object) -> Decoder:
        raise EngineUnavailable("by a loader")

    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", unavailable)
    engine = new_engine("auto")
    await engine.start()
    await engine.wait_until_loaded()
    assert engine.info.decoder == "onnx"
    assert engine.info.slow_decoder_reason == "the fast one is unavailable: by a loader"


def test_default_server_uses_int8_decoder(server: ServerProcess, fast: Decoder) -> None:
    if isinstance(fast, Other):
        pytest.skip("the int8 decoder is unavailable on this machine")
    assert httpx.get(f"{server.http_url}/health").json()["decoder"] == "fast"


@pytest.mark.heard
def test_onnx_decoder_is_intelligible_through_server(onnx_server: ServerProcess) -> None:
    sentence = SENTENCES[0].text
    answer = httpx.post(f"{onnx_server.http_url}/tts", json={"text": sentence, "language": "es"})
    with wave.open(io.BytesIO(answer.raise_for_status().content)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    heard = hear(samples.astype(np.float32) / 32768, rate, "es")
    assert word_error_rate(sentence, heard, "es") == 0, heard
    assert httpx.get(f"{onnx_server.http_url}/health").json()["decoder"] == "onnx"


def test_fetch_builds_everything_int8_decoder_needs(
    start_server: StartServer, fast: Decoder, tmp_path: Path
) -> None:
    if isinstance(fast, Other):
        pytest.skip("the int8 decoder is unavailable on this machine")
    cache = tmp_path / "cache"
    kokoro = ("--engine", "kokoro", "--recognizer", "none")
    fetching = start_server(
        *kokoro, "--kokoro-decoder", "auto", "--fetch", KANI_CACHE_DIR=str(cache), ready=False
    )
    assert fetching.process.wait(WITHIN_S) == 0, fetching.terminal
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert any("numba" in path.as_posix() for path in made)
    start_server(*kokoro, "--kokoro-decoder", "fast", KANI_CACHE_DIR=str(cache)).stop()
    assert made == {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("in_background")
async def test_health_and_metrics_name_decoder(
    part: LoadPart,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    gate = Gate(other(part))
    monkeypatch.setattr(engines.kokoro.engine, "load_int8_decoder", gate.load)
    own = {"ENGINE": "kokoro", "RECOGNIZER": "none", "PORT": "0"}
    own |= {"CACHE_DIR": str(cache), "DATA_DIR": str(tmp_path), "LOGS_DIR": str(tmp_path)}
    settings = load({}, {f"KANI_{name}": value for name, value in own.items()}, tmp_path / "no file")
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()

    def announce(running: RunningServer) -> None:
        ready.set_result(running.listeners.port)

    async with asyncio.TaskGroup() as group, asyncio.timeout(WITHIN_S):
        group.create_task(serve(settings, announce, stop=stop))
        async with httpx.AsyncClient(base_url=f"http://localhost:{await ready}") as client:

            async def told() -> tuple[str, bool]:
                decoder = (await client.get("/health")).json()["decoder"]
                return decoder, "\nkani_fast_decoder 1.0" in (await client.get("/metrics")).text

            assert await told() == ("onnx", False)
            gate.opened.set()
            while (await told())[0] != "fast":
                # Nothing but asking tells from outside when it is there.
                await asyncio.sleep(0.05)
            assert await told() == ("fast", True)
        stop.set()
    assert caplog.text.count("Kokoro decoder: fast (int8)") == 1
