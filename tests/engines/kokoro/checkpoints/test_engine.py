"""Kokoro with a checkpoint: the same samples for the same weights, and other voices for other languages."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from onnx import helper
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from kani.core.errors import EngineUnavailable
from kani.core.types import Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.server.settings import load
from kani.server.speech_service import build_engines
from tests.clients.kani.wire import RATE, ask, request, samples
from tests.conftest import StartServer
from tests.engines.kokoro.checkpoints.conftest import MakeFolder
from tests.judges.judge import edit_distance, hear
from tests.runtime.test_hub import NO_HUB, Hub, use_hub
from tests.runtime.test_hub import hub as hub
from tests.support.kokoro import Writer, chunks_of, joined

# Loads and runs the published model.
pytestmark = pytest.mark.heard

TEXT = "Hello there, my friend."
GERMAN = "Wir fahren morgen mit dem Zug nach Berlin."


def engine_with(cache: Path, **models: Path) -> KokoroEngine:
    named = tuple((language, str(folder)) for language, folder in models.items())
    return KokoroEngine(KokoroSettings(decoder="onnx", models=named), Resources(cache))


async def test_embedded_model_under_another_name_says_the_same(
    onnx_engine: KokoroEngine, make_folder: MakeFolder, published: bytes, cache: Path
) -> None:
    folder = make_folder("en", published, af_heart="af_heart", am_michael="am_michael")
    engine = engine_with(cache, en=folder)
    await engine.start()
    english = [voice.id for voice in engine.info.voices if voice.language.startswith("en")]
    assert english == ["af_heart", "am_michael"] and engine.info.default_voices["en"] == "af_heart"
    for segment in (
        Segment(TEXT, "af_heart", "en"),
        Segment(TEXT, "am_michael", "en"),
        Segment("Hola, ¿qué tal?", "ef_dora", "es"),
    ):
        samples, spans = joined(await chunks_of(onnx_engine, segment))
        own, own_spans = joined(await chunks_of(engine, segment))
        assert len(samples) > 12_000 and (own == samples).all() and own_spans == spans
    assert engine._synthesizer_of(Segment(TEXT, "af_heart", "en")) is not engine._synthesizer
    await engine.stop()


def assert_heard(said: np.ndarray, rate: int) -> None:
    """German is understood; the network never learned it, so a word or two may be heard as others."""
    spoken, heard = (re.findall(r"\w+", text.lower()) for text in (GERMAN, hear(said, rate, "de")))
    assert edit_distance(spoken, heard) <= 2, heard


async def test_german_voices_speak_on_a_socket(
    start_server: StartServer, make_folder: MakeFolder, published: bytes
) -> None:
    folder = make_folder("german", published, martin="im_nicola", df_eva="if_sara")
    server = start_server("--kokoro-models", f"de={folder}")
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        listed = (await client.get("/v1/audio/voices")).json()["voices"]
        health = (await client.get("/health")).json()
    languages = {voice["id"]: voice["language"] for voice in listed}
    assert (languages["martin"], languages["df_eva"], languages["if_sara"]) == ("de", "de", "it")
    assert health["languages"]["de"] == "kokoro" and health["default_voices"]["de"] == "df_eva"
    assert "de" not in health["accented"] and "nl" in health["accented"]
    async with connect(server.url, max_size=None) as socket:
        for voice in ("df_eva", "martin"):
            config = {"language": "de"} | ({} if voice == "df_eva" else {"voice_id": voice})
            answer = await ask(socket, request(GERMAN, config=config))
            assert answer["metadata"]["voice"] == voice, answer
            said = samples(answer) / np.float32(32768)
            assert_heard(said, RATE)


async def test_measured_voice_is_kept(make_folder: MakeFolder, published: bytes, tmp_path: Path) -> None:
    folder = make_folder("swedish", published, lisa="if_sara")
    segment = Segment("God morgon, solen skiner idag.", "lisa", "sv")
    said, kept = [], []
    for _ in range(2):
        engine = engine_with(tmp_path, sv=folder)
        await engine.start()
        said.append(joined(await chunks_of(engine, segment))[0])
        found = [entry for entry in os.scandir(tmp_path) if entry.name.startswith("kokoro-voice-")]
        kept.append([(entry.name, entry.stat().st_mtime_ns) for entry in found])
        await engine.stop()
    assert (said[0] == said[1]).all() and len(said[0]) > 24_000
    assert len(kept[0]) == 1 and kept[0] == kept[1]


async def test_text_that_is_still_written_is_spoken(
    make_folder: MakeFolder, published: bytes, cache: Path
) -> None:
    engine = engine_with(cache, de=make_folder("german", published, martin="im_nicola"))
    await engine.start()
    writer = Writer(GERMAN, 2, first=5)
    said, spans = joined([chunk async for chunk in engine.stream(Segment("", "martin", "de"), writer.text)])
    await engine.stop()
    assert writer.waited and len(spans) == len(GERMAN.split())
    assert_heard(said, 24_000)


async def test_checkpoint_of_a_hub_is_fetched_once_and_only_when_asked(
    make_folder: MakeFolder,
    published: bytes,
    tmp_path: Path,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.marks_files = False
    folder = make_folder("german", published, martin="im_nicola")
    hub.files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("**/*.*")}
    hub.files |= {"README.md": b"not needed", "samples/a.wav": b"not needed"}
    chosen = load(
        {"kokoro_models": "de=owner/name", "kokoro_decoder": "onnx", "cache_dir": tmp_path / "cache"},
        {},
        tmp_path / "none",
    )
    segment, said = Segment("Guten Morgen.", "martin", "de"), []
    with caplog.at_level(logging.INFO):
        for requested in (False, True, False):
            kokoro, _ = build_engines(chosen, CollectorRegistry(), fetch_requested=requested).required
            assert isinstance(kokoro, KokoroEngine)
            if not requested and not said:
                with pytest.raises(EngineUnavailable, match=r"owner/name is not here.*KANI_KOKORO_MODELS"):
                    await kokoro.start()
                assert not hub.asked
                await kokoro.stop()
                continue
            await kokoro.start()
            assert kokoro.info.networks == {"de": "owner/name"}
            said.append(joined(await chunks_of(kokoro, segment))[0])
            await kokoro.stop()
            use_hub(monkeypatch, NO_HUB)
    assert (said[0] == said[1]).all() and len(said[0]) > 12_000
    fetches = [line for line in caplog.messages if line.startswith("fetching owner/name at revision")]
    assert len(fetches) == 1 and "licence: an-open-licence" in fetches[0]
    assert not [path for path in hub.asked if path.endswith((".md", ".wav"))]


async def test_other_graph_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    identity = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "other", [], [])
    for content, reason in (
        (b"not ONNX", "no ONNX model"),
        (helper.make_model(identity).SerializeToString(), "the checkpoint has no predictor"),
    ):
        folder = make_folder(f"{len(content)} bytes", content)
        engine = engine_with(tmp_path / "cache", de=folder)
        with pytest.raises(EngineUnavailable, match=rf"^KANI_KOKORO_MODELS: .* cannot be used: {reason}"):
            await engine.start()
        await engine.stop()
