"""The Kokoro engine with its real model."""

import asyncio
import shutil
import sys
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from pathlib import Path
from unittest.mock import AsyncMock

import httpx2
import numpy as np
import pytest

from benchmarks.languages.heard import SENTENCES, units
from kani.composition.settings import SettingsError, load
from kani.core.errors import EngineUnavailable, UnknownVoice, UnsupportedLanguage
from kani.core.types import Boundary, Samples, Segment, Span
from kani.engines.kokoro.description import SPEED_RANGE
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.litert.packed import NETWORK
from kani.engines.kokoro.network.onnx_model import ModelFailed, Network
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.speech_cost import SpeechCost, real_time_streams
from kani.engines.kokoro.text import phonemes
from kani.engines.kokoro.voices import ACCENTED_VOICES, DEFAULT_VOICES
from kani.engines.plugin import Resources
from kani_text.normalizer import NormalizerOptions, normalize
from tests.conftest import StartServer
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import chunks_of, joined, measured
from tests.support.patience import WITHIN_S


@pytest.fixture(
    params=[
        pytest.param("engine", marks=pytest.mark.heard),
        pytest.param("onnx_engine", marks=[pytest.mark.heard, pytest.mark.full]),
    ]
)
def each(request: pytest.FixtureRequest) -> KokoroEngine:
    engine: KokoroEngine = request.getfixturevalue(request.param)
    return engine


async def say(
    engine: KokoroEngine, text: str, voice: str = "ef_dora", language: str = "es", speed: float = 1.0
) -> tuple[Samples, list[Span]]:
    return joined(await chunks_of(engine, Segment(text, voice, language, speed)))


async def test_info_describes_the_engine(engine: KokoroEngine) -> None:
    await measured(engine)
    info = engine.info
    assert (info.name, info.sample_rate, info.cloning.kind) == ("kokoro", 24_000, "nearest voice")
    assert info.max_concurrency >= 1 and info.sharing.by_deadline
    assert info.default_voices == DEFAULT_VOICES | dict.fromkeys(("de", "nl", "pl", "ru"), "if_sara")
    assert info.times_words
    assert info.streams_inside_segment and info.sharing.pausable and info.accepts_partial_text
    assert info.supported_fields == frozenset()
    assert info.native_prosody == {"pitch", "pitch_range", "pauses", "melody"}


async def test_slots_rise_after_a_busy_start(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.engines.kokoro.speech_cost._MEASURED_AGAIN_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(SpeechCost, "_sample", AsyncMock(side_effect=(0.4, 0.2, 0.5)))
    monkeypatch.setattr(engine._cost, "_cost", 0.45)
    monkeypatch.setattr("kani.engines.kokoro.engine.os.cpu_count", lambda: 2)
    light = engine.info.light
    assert light is not None
    # On a slow machine the student speaks always, until the machine proves fast enough.
    info = replace(engine.info, light=replace(light, always=True))
    monkeypatch.setattr(engine, "_info", info)
    await engine._cost._measure_again(engine._synthesizer)
    fast = replace(light, always=False)
    assert engine.info == replace(info, max_concurrency=real_time_streams(0.2, 2), light=fast)


@pytest.mark.parametrize(
    ("cost", "cores", "streams"), [(0.21, 2, 7), (0.52, 2, 3), (0.52, 16, 24), (1.1, 2, 2), (5.0, 2, 2)]
)
def test_streams_follow_the_machines_speed(cost: float, cores: int, streams: int) -> None:
    assert real_time_streams(cost, cores) == streams


@pytest.mark.parametrize(
    ("language", "voice", "text"),
    [
        ("es", "ef_dora", "Hola, me llamo Dora y vivo en Madrid desde hace tres años."),
        ("es-MX", "em_alex", "La biblioteca cierra los domingos y los días festivos."),
        ("en", "af_heart", "Hello, my name is Anna, and these are the best places of the city."),
        ("en-GB", "bm_george", "The weather in London is rather cold this morning."),
        ("fr", "ff_siwis", "Bonjour, je suis très heureuse de vous voir."),
        ("it", "im_nicola", "Buongiorno, oggi andiamo a mangiare una pizza con gli amici."),
        ("pt", "pf_dora", "Bom dia, hoje vamos viajar para o Rio de Janeiro."),
        # Hardly understood with the timbre of these voices by itself.
        ("fr", "af_heart", "La porte reste ouverte toute la nuit, il faudra revenir jeudi matin."),
        ("es", "af_heart", "La cena está lista."),
        ("pt", "af_heart", "A loja fecha mais cedo aos sábados, como todas da cidade."),
        # Single words with a vowel first.
        ("es", "ef_dora", "¡Hola!"),
        ("es", "em_alex", "Hoy."),
        ("en", "bm_george", "Eight."),
        ("en", "am_michael", "Agreed."),
        ("en", "af_heart", "Again!"),
        ("it", "if_sara", "Oggi."),
    ],
)
async def test_languages_are_intelligible(engine: KokoroEngine, language: str, voice: str, text: str) -> None:
    samples, spans = await say(engine, text, voice, language)
    heard = hear(samples, 24_000, language)
    assert word_error_rate(text, heard, language) <= 0.1, heard
    assert len(spans) == len(text.split())
    assert 0 <= spans[0].start_s < 0.1 and spans[-1].end_s <= len(samples) / 24_000


OTHER_SCRIPTS = {
    "zh": ("zf_xiaoxiao", "你好，明天我想去北京看我的朋友。"),
    "ja": ("jf_alpha", "おはようございます、明日はみんなで海に行きます。"),
    "hi": ("hf_alpha", "आज मौसम बहुत अच्छा है, चलो पार्क में घूमने चलते हैं।"),
}


@pytest.mark.parametrize("language", OTHER_SCRIPTS)
async def test_other_scripts_are_timed_by_character(engine: KokoroEngine, language: str) -> None:
    """Every character that is spoken has a time of its own."""
    voice, text = OTHER_SCRIPTS[language]
    _, spans = await say(engine, text, voice, language)
    spoken = "".join(text[span.start : span.end] for span in spans)
    assert [c for c in spoken if c.isalnum()] == [c for c in text if c.isalnum()]
    starts = [start for span in spans for start in span.character_starts]
    assert len(starts) == len(spoken) and starts == sorted(starts)
    if language == "zh":
        assert len(set(starts)) == len(starts)


@pytest.mark.parametrize(
    "language", ["zh", *(pytest.param(one, marks=pytest.mark.full) for one in SENTENCES if one != "zh")]
)
async def test_languages_beyond_the_first_five_are_heard(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """Three quarters of each sentence's letters, in order: of Hindi its consonants, of Japanese its kana."""
    # Turkish has to be chosen.
    spoken = engine.info.default_voices | {"tr": "if_sara"}
    monkeypatch.setattr(engine, "_info", replace(engine.info, default_voices=spoken))
    voice = (DEFAULT_VOICES | dict.fromkeys(ACCENTED_VOICES, "if_sara"))[language]
    texts = [normalize(text, options=NormalizerOptions(language)).text for text in SENTENCES[language][:3]]
    samples = np.concatenate([(await say(engine, text, voice, language))[0] for text in texts])
    said = ["".join(units(text, language)) for text in texts]
    heard = "".join(units(hear(samples, 24_000, language), language))
    matcher = SequenceMatcher(None, "".join(said), heard, autojunk=False)
    assert matcher.ratio() >= 0.75, heard
    matched = {at + step for at, _, size in matcher.get_matching_blocks() for step in range(size)}
    for end, sentence in zip(accumulate(map(len, said)), said, strict=True):
        own = range(end - len(sentence), end)
        assert len(matched.intersection(own)) >= 0.75 * len(sentence), (sentence, heard)


@pytest.mark.parametrize("speed", SPEED_RANGE)
async def test_speed_range_is_exact_and_intelligible(engine: KokoroEngine, speed: float) -> None:
    text = "El médico le recomendó descansar y beber mucha agua."
    plain, _ = await say(engine, text)
    samples, _ = await say(engine, text, speed=speed)
    assert len(plain) / len(samples) == pytest.approx(speed, rel=0.1)
    heard = hear(samples, 24_000, "es")
    assert word_error_rate(text, heard, "es") <= 0.12, heard


async def test_concurrent_segments_are_independent(each: KokoroEngine) -> None:
    asked = [("Buenas tardes a todos.", "em_alex", "es"), ("A good day to you.", "bf_emma", "en-GB")] * 2
    alone = [await say(each, *one) for one in asked[:2]] * 2
    together = await asyncio.gather(*(say(each, *one) for one in asked))
    for (samples, spans), (expected, expected_spans) in zip(together, alone, strict=True):
        assert np.array_equal(samples, expected)
        assert spans == expected_spans


async def test_only_what_can_be_spoken_is_spoken(each: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownVoice):
        await chunks_of(each, Segment("hola", "nobody", "es"))
    with pytest.raises(UnsupportedLanguage, match=r"'el'.*es, en, fr, it, pt"):
        await chunks_of(each, Segment("γεια", "ef_dora", "el"))
    assert await chunks_of(each, Segment("…", "ef_dora", "es")) == []
    for boundary in Boundary:
        _, spans = joined(await chunks_of(each, Segment("buenos días", "ef_dora", "es", boundary=boundary)))
        assert [(span.start, span.end) for span in spans] == [(0, 6), (7, 11)], boundary
    monkeypatch.setattr(phonemes, "MAX_UTTERANCE_SYMBOLS", 60)
    for overlong in ("palabra" * 12, "1234567890"):
        samples, spans = await say(each, overlong)
        assert np.abs(samples).max() <= 1, "no sample is NaN"
        assert spans[-1].end == len(overlong)


async def test_long_text_is_spoken_in_utterances(each: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phonemes, "MAX_UTTERANCE_SYMBOLS", 100)
    text = (
        "El tren de las ocho llega siempre con diez minutos de retraso. Mi hermana estudia medicina "
        "en la universidad de Salamanca."
    )
    chunks = await chunks_of(each, Segment(text, "ef_dora", "es"))
    assert len(chunks) > 1
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(chunks))
    spans = [span for chunk in chunks for span in chunk.spans]
    assert [text[span.start : span.end] for span in spans] == text.replace(".", "").split()
    assert all(a.end_s <= b.start_s for a, b in pairwise(spans))
    heard = hear(np.concatenate([chunk.samples for chunk in chunks]), 24_000, "es")
    assert word_error_rate(text, heard, "es") <= 0.1, heard


@pytest.mark.parametrize("spoilt", ["generator.zip", "prosody.zip"])
async def test_broken_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    folder = tmp_path / "network"
    shutil.copytree(NETWORK, folder)
    with (folder / spoilt).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"spoilt")
    monkeypatch.setattr("kani.engines.kokoro.litert.decoder.NETWORK", folder)
    broken = KokoroEngine(KokoroSettings(student="never"), Resources(tmp_path / "cache"))
    with pytest.raises(EngineUnavailable, match=r"network is missing or broken \(Bad CRC.*restore"):
        await broken.start()
    await broken.stop()
    with pytest.raises(ModelFailed):
        Network(b"not a model", 1)


async def test_machine_without_litert_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without = KokoroEngine(KokoroSettings(student="never"), Resources(tmp_path))
    monkeypatch.setitem(sys.modules, "kani.engines.kokoro.litert.decoder", None)
    with pytest.raises(EngineUnavailable, match="the package ai-edge-litert cannot be imported"):
        await without.start()
    await without.stop()


@pytest.mark.parametrize(
    ("setting", "given", "chosen"),
    [
        ("student", "ALWAYS", "always"),
        ("student", "only", "only"),
    ],
)
def test_setting_is_read(tmp_path: Path, setting: str, given: str, chosen: str) -> None:
    read = load({}, {f"KANI_KOKORO_{setting.upper()}": given}, tmp_path / "none")
    assert read.value(f"kokoro_{setting}") == chosen
    with pytest.raises(SettingsError, match=f"KANI_KOKORO_{setting.upper()}.*one of .*{chosen}"):
        load({}, {f"KANI_KOKORO_{setting.upper()}": "sometimes"}, tmp_path / "none")


def test_fresh_home_speaks_without_a_network_in_the_cache(start_server: StartServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def kept() -> set[str]:
        # A start notes how long it took.
        files = (path for path in cache.rglob("*") if path.is_file() and path.name != "start-seconds.json")
        return {path.name for path in files}

    server = start_server("--engine", "kokoro", "--recognizer", "none", KANI_CACHE_DIR=str(cache))
    spoken = httpx2.post(
        f"{server.http_url}/v1/audio/speech", json={"input": "Hola.", "voice": "ef_dora"}, timeout=WITHIN_S
    )
    assert spoken.status_code == 200 and len(spoken.content) > 2_000
    server.stop()
    assert not kept()
