"""Cloning: mixes, their solver and limits, F0, and the real engine's placement and refinement."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from kani.core.errors import InvalidRequest, NoSpeech, UnsupportedLanguage
from kani.core.types import Embedding, Recording, Samples, Segment, Similarity
from kani.engines.kokoro.cloning.pitch import measure_pitch
from kani.engines.kokoro.cloning.placement import MeasuredSpeaker, VoicePlacer, normalized
from kani.engines.kokoro.cloning.refinement import Refiner
from kani.engines.kokoro.cloning.surrogate import MIDDLE, OCTAVE, Surrogate
from kani.engines.kokoro.cloning.voice_embedding import (
    LANGUAGES,
    embedding_from_mixes,
    mix_from_embedding,
    replace_mix,
)
from kani.engines.kokoro.cloning.weight_solver import WeightSearch, project_to_limits, solve_weights
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.pitch_control import SEMITONE
from kani.engines.kokoro.scheduler import DeadlineScheduler
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.voices import (
    DEFAULT_VOICES,
    MAX_NEGATIVE_WEIGHT,
    MAX_WEIGHT,
    MIN_WEIGHT,
    NATIVE_SHARES,
    TIMBRE_SIZE,
    VoiceMix,
    Voices,
    voice_or_mix,
)
from kani.runtime.speaker_encoder.encoder import SAMPLE_RATE, SpeakerEncoder
from kani_text.languages import primary
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import Writer, chunks_of, joined
from tools.kokoro_data.surrogate import Corpus, fit_tables

VOICES = Voices()
IDS = [voice.id for voice in VOICES.mixed]
STATISTICS = StatisticsTable.shipped([voice.id for voice in VOICES.all])
DEFAULTS = {language: VoiceMix.from_voice(DEFAULT_VOICES[language]) for language in LANGUAGES}
ENCODER = SpeakerEncoder()
PLACER = VoicePlacer(VOICES, Surrogate(IDS), ENCODER)
MIX = VoiceMix("ef_dora", (("af_heart", 0.75), ("im_nicola", 0.5), ("ff_siwis", -0.25)), -2.5, 1.25)
LOW = VoiceMix("af_heart", (("am_onyx", 0.75), ("bm_george", 0.25)), -7.0)


def everywhere(mix: VoiceMix) -> Embedding:
    return embedding_from_mixes(DEFAULTS | {"es": mix}, {}, VOICES)


def test_style_and_statistics_mix_timbre_and_keep_prosody_half() -> None:
    style = VOICES.style(MIX, 50)
    expected = sum(weight * VOICES.style(voice, 50)[0, :TIMBRE_SIZE] for voice, weight in MIX.timbre)
    np.testing.assert_allclose(style[0, :TIMBRE_SIZE], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(style[0, TIMBRE_SIZE:], VOICES.style("ef_dora", 50)[0, TIMBRE_SIZE:])
    np.testing.assert_array_equal(VOICES.style(VoiceMix.from_voice("af_sky"), 7), VOICES.style("af_sky", 7))
    assert STATISTICS.level(VoiceMix.from_voice("ef_dora")) == pytest.approx(STATISTICS.level("ef_dora"))
    mixed = VoiceMix("em_alex", (("ef_dora", 0.5), ("af_sky", 0.5)))
    dora, sky, own = (STATISTICS._own(who) for who in ("ef_dora", "af_sky", mixed))
    np.testing.assert_allclose(own.mean, (dora.mean.astype(np.float32) + sky.mean) / 2, rtol=1e-3, atol=1e-4)
    assert sorted((dora.level, sky.level, own.level))[1] == own.level not in (dora.level, sky.level)
    assert STATISTICS.log_f0(mixed) == STATISTICS.log_f0("em_alex")


def test_embedding_round_trip() -> None:
    embedding = everywhere(MIX)
    assert embedding.values.dtype == np.float32
    assert len(embedding.values) <= 4096
    found = mix_from_embedding(embedding, "es", VOICES)
    assert (found.prosody_voice, found.pitch, found.pitch_range) == ("ef_dora", -2.5, 1.25)
    assert dict(found.timbre) == pytest.approx(dict(MIX.timbre))
    assert mix_from_embedding(embedding, "it", VOICES) == VoiceMix.from_voice("if_sara")
    similarity = Similarity(0.7, 0.8, measured=True)
    changed = replace_mix(embedding, "it", VoiceMix.from_voice("im_nicola"), similarity, VOICES)
    assert mix_from_embedding(changed, "it", VOICES) == VoiceMix.from_voice("im_nicola")
    assert mix_from_embedding(changed, "es", VOICES) == found
    assert changed.similarity == {"it": similarity}


@pytest.mark.parametrize("language", ["zh-CN", "ja", "hi"])
def test_languages_without_a_mix_borrow_timbre_and_pitch(language: str) -> None:
    embedding = embedding_from_mixes(DEFAULTS | {"en": LOW}, {}, VOICES)
    synthesizer = WindowedSynthesizer(None, VOICES, STATISTICS)  # type: ignore[arg-type]
    found = synthesizer.voice_of(Segment("", "", language, embedding=embedding))
    assert isinstance(found, VoiceMix)
    assert found.prosody_voice in [voice.id for voice in VOICES.all if voice.language == language[:2]]
    assert dict(found.timbre) == pytest.approx(dict(LOW.timbre))
    wanted = STATISTICS.log_f0(LOW.prosody_voice) + LOW.pitch * SEMITONE
    assert STATISTICS.log_f0(found.prosody_voice) + found.pitch * SEMITONE == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("voice", "language", "native"),
    [
        ("am_michael", "pt-BR", "pm_alex"),
        ("af_heart+am_adam", "fr", "ff_siwis"),
        ("ff_siwis", "es-ES", "ef_dora"),
        ("ff_siwis", "it", "if_sara"),
        ("pf_dora", "es-MX", "ef_dora"),
    ],
)
def test_voice_takes_part_of_a_native_timbre_to_be_understood(voice: str, language: str, native: str) -> None:
    own = VoiceMix.from_name(voice) if "+" in voice else VoiceMix.from_voice(voice)
    synthesizer = WindowedSynthesizer(None, VOICES, STATISTICS)  # type: ignore[arg-type]
    found = synthesizer.voice_of(Segment("", voice, language))
    assert isinstance(found, VoiceMix)
    own_language = next(one.language for one in VOICES.all if one.id == own.prosody_voice)
    share = NATIVE_SHARES[primary(own_language), primary(language)]
    expected = {part: weight * (1 - share) for part, weight in own.timbre} | {native: share}
    assert (found.prosody_voice, dict(found.timbre)) == (native, pytest.approx(expected))
    pitch = STATISTICS.log_f0(native) + found.pitch * SEMITONE
    assert pitch == pytest.approx(STATISTICS.log_f0(own.prosody_voice))
    # In its own language, and where it is understood, the voice is as it was made.
    for other in ("en-GB", "zh", "de"):
        assert synthesizer.voice_of(Segment("", voice, other)) == voice_or_mix(voice)


OUTSIDE = {
    0: (np.nan, 3.5, -1.0, 500.0, float(IDS.index("af_heart"))),
    1: (40.0, -np.inf),
    2: (0.0, 9.0),
    3: (np.nan, 1e30, 0.5, -0.9),
}


@pytest.mark.parametrize(("at", "value"), [(at, value) for at, values in OUTSIDE.items() for value in values])
def test_values_outside_limits_are_refused(at: int, value: float) -> None:
    embedding = everywhere(VoiceMix.from_voice("ef_dora"))
    embedding.values[at] = value
    with pytest.raises(InvalidRequest, match="reference: the embedding's values are not valid"):
        mix_from_embedding(embedding, "es", VOICES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"engine": "kani"}, "not made by kokoro"),
        ({"model": "nearest-0"}, "not made by kokoro nearest-1"),
        *(
            ({"values": np.zeros(shape, np.float32)}, "not have this engine's length")
            for shape in (0, (5, 40), 4096)
        ),
    ],
)
def test_embedding_of_other_model_or_size_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=f"reference: .*{reason}"):
        mix_from_embedding(replace(everywhere(MIX), **change), "es", VOICES)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40))
def test_projection_keeps_limits(raw: list[float]) -> None:
    given_weights = np.array(raw)
    found = project_to_limits(given_weights)
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert found.min() >= MIN_WEIGHT - 1e-9
    assert found.max() <= MAX_WEIGHT + 1e-9
    np.testing.assert_allclose(project_to_limits(found), found, atol=1e-6)


def test_solver_recovers_known_weights() -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(size=(5, 256))
    wanted = np.array([0.5, 0.7, -0.3, 0.1, 0.0])
    np.testing.assert_allclose(solve_weights(table, wanted @ table, 1e-6), wanted, atol=1e-3)
    far = solve_weights(table, -10 * table[0] - 8 * table[1] + 20 * table[2], 1e-6)
    assert far.sum() == pytest.approx(1)
    assert -far[far < 0].sum() <= MAX_NEGATIVE_WEIGHT + 1e-9


def test_search_improves_despite_wrong_table() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(8, 256)) + 1
    table = truth + 0.5 * rng.normal(size=truth.shape)
    target = normalized(np.array([0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0]) @ truth + 0.1 * rng.normal(size=256))

    def heard(weights: np.ndarray) -> np.ndarray:
        return np.asarray(normalized(weights @ truth))

    scale = np.linalg.norm(table, axis=1).mean()
    start = np.full(8, 1 / 8)
    search = WeightSearch(table / scale, target, start, heard(start))
    likeness = [search.similarity]
    for _ in range(12):
        weights = search.propose()
        better = search.observe(weights, heard(weights))
        assert better == (search.similarity > likeness[-1])
        likeness.append(search.similarity)
    assert likeness == sorted(likeness)
    assert likeness[-1] > likeness[0] + 0.5 * (1 - likeness[0])
    assert search.weights.sum() == pytest.approx(1)


def test_fit_recovers_linear_truth() -> None:
    rng = np.random.default_rng(3)
    alone = rng.normal(size=(4, 16))
    octave = rng.normal(size=16)
    timbres = rng.dirichlet(np.ones(4), 200)
    levels = MIDDLE + OCTAVE * rng.normal(size=200) / 2
    heard = timbres @ alone + ((levels - MIDDLE) / OCTAVE)[:, np.newaxis] * octave
    melodies = np.stack([levels, np.full(200, 3.0)], axis=1)
    corpus = Corpus(timbres, heard, melodies, rng.integers(0, len(LANGUAGES), 200))
    tables, slopes, bend = fit_tables(corpus, alone)
    np.testing.assert_allclose(tables, np.broadcast_to(alone, tables.shape), atol=0.05)
    np.testing.assert_allclose(slopes, np.broadcast_to(octave, slopes.shape), atol=0.05)
    assert np.abs(bend).max() < 0.05


@pytest.mark.parametrize("language", LANGUAGES)
def test_placement_is_never_predicted_worse_than_single_voice(language: str) -> None:
    surrogate = Surrogate(IDS)
    rng = np.random.default_rng(4)
    strangers = [normalized(np.maximum(rng.normal(size=256), 0)) for _ in range(3)]
    for embedding in [*surrogate.single_voices[::9], *strangers]:
        for pitch in (surrogate.pitch("am_onyx"), None):
            placed = PLACER.place(MeasuredSpeaker(normalized(embedding), pitch), language)
            similarity = placed.similarity
            assert not similarity.measured
            assert similarity.now >= similarity.before
            alone = placed.mix == VoiceMix.from_voice(placed.mix.prosody_voice)
            assert alone == (similarity.now == similarity.before)
            # The mix survives a round trip through a client.
            given = embedding_from_mixes({**DEFAULTS, language: placed.mix}, {}, VOICES)
            assert mix_from_embedding(given, language, VOICES)


def test_placement_has_pitch_of_recording() -> None:
    surrogate = Surrogate(IDS)
    wanted = surrogate.pitch("am_onyx")
    speaker = MeasuredSpeaker(normalized(surrogate.single_voices[IDS.index("am_onyx")]), wanted)
    mix = PLACER.place(speaker, "fr").mix
    own = surrogate.pitch(mix.prosody_voice)
    assert mix.prosody_voice == "ff_siwis"
    assert own.log_f0 + mix.pitch * OCTAVE / 12 == pytest.approx(wanted.log_f0, abs=0.01)
    assert own.spread_semitones * mix.pitch_range == pytest.approx(wanted.spread_semitones, rel=0.01)


def test_tones_have_pitch_and_spread_and_noise_has_none() -> None:
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz in (80.0, 140.0, 210.0, 400.0):
        tone = sum(np.sin(2 * np.pi * hertz * harmonic * at) / harmonic for harmonic in range(1, 6))
        melody = measure_pitch(0.1 * np.asarray(tone, np.float32))
        assert melody is not None
        assert np.exp(melody.log_f0) == pytest.approx(hertz, rel=0.01)
        assert melody.spread_semitones < 0.1
    # A glide of an octave, down and up again.
    phase = (
        2 * np.pi * np.cumsum(120 * 2 ** np.abs(1 - np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)) / SAMPLE_RATE
    )
    melody = measure_pitch(np.asarray(0.1 * np.sin(phase) + 0.05 * np.sin(2 * phase), np.float32))
    assert melody is not None
    assert melody.spread_semitones == pytest.approx(12 * 0.68 / 2, abs=0.3)
    assert np.exp(melody.log_f0) == pytest.approx(120 * 2**0.5, rel=0.03)
    noise = 0.1 * np.random.default_rng(5).standard_normal(SAMPLE_RATE)
    for samples in (noise, np.zeros(SAMPLE_RATE), np.zeros(10)):
        assert measure_pitch(samples.astype(np.float32)) is None


RATE = 24_000
REFERENCE_TEXT = (
    "Every Sunday we buy fresh fruit from the market on the main square. "
    "I do not mind waiting, but I would rather know how long it takes."
)
TEXT = "Mañana por la tarde iremos todos juntos al mercado para comprar naranjas dulces y unas flores."
WARP = 1.1


async def all_of(chunks: AsyncGenerator) -> Samples:
    async with aclosing(chunks) as stream:
        return np.concatenate([chunk.samples async for chunk in stream])


def resampled(samples: Samples, rate: int, to: int) -> Samples:
    return np.asarray(soxr.resample(samples, rate, to), np.float32)


def similarity_to(samples: Samples, recording: Recording) -> float:
    ours, theirs = (
        ENCODER.embed(resampled(one, rate, SAMPLE_RATE))
        for one, rate in ((samples, RATE), (recording.samples, recording.sample_rate))
    )
    return float(ours @ theirs)


@pytest.fixture(scope="module")
def recording(engine: KokoroEngine) -> Recording:
    samples = asyncio.run(all_of(engine.synthesize(Segment(REFERENCE_TEXT, "am_puck", "en-US"))))
    return Recording(resampled(samples, round(RATE * WARP), RATE), RATE)


@pytest.fixture(scope="module")
def embedding(engine: KokoroEngine, recording: Recording) -> Embedding:
    return asyncio.run(engine.embed(recording))


def like(embedding: Embedding, text: str = TEXT) -> Segment:
    return Segment(text, "ef_dora", "es", embedding=embedding)


async def test_speech_is_embedded(engine: KokoroEngine, recording: Recording, embedding: Embedding) -> None:
    assert engine.info.cloning.kind == "nearest voice"
    assert (embedding.engine, embedding.model) == ("kokoro", engine.info.cloning.model)
    assert set(embedding.similarity) == {"es", "en", "fr", "it", "pt"}
    for similarity in embedding.similarity.values():
        assert 0 < similarity.before <= similarity.now <= 1
        assert not similarity.measured
    again = await engine.embed(recording)
    np.testing.assert_array_equal(again.values, embedding.values)
    other = await engine.embed(Recording(resampled(recording.samples, RATE, 44_100), 44_100))
    assert other.similarity["es"].now == pytest.approx(embedding.similarity["es"].now, abs=0.02)
    for level in (0.0, 1e-5):
        with pytest.raises(NoSpeech, match="reference: there is no speech in the recording"):
            await engine.embed(Recording(np.full(RATE, level, np.float32), RATE))


async def test_mix_is_more_similar_than_single_voices_and_intelligible_as_growing_text_too(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By this clock windows take no time: on a slow machine the first one would wait for the second.
    monkeypatch.setattr("kani.engines.kokoro.pieces.time", SimpleNamespace(perf_counter=lambda: 0.0))
    chunks = await chunks_of(engine, like(embedding))
    assert len(chunks) > 3
    assert chunks[0].duration_s < 0.5
    samples, spans = joined(chunks)
    assert np.abs(samples).max() <= 1
    assert [TEXT[span.start : span.end] for span in spans] == [word.strip(".") for word in TEXT.split()]
    assert word_error_rate(TEXT, hear(samples, RATE, "es"), "es") <= 1 / 16
    singles = [
        similarity_to(await all_of(engine.synthesize(Segment(TEXT, voice, "es"))), recording)
        for voice in ("ef_dora", "em_alex", "em_santa")
    ]
    assert similarity_to(samples, recording) > max(singles) + 0.05
    growing = await all_of(engine.stream(like(embedding, ""), Writer(TEXT, 5).text))
    assert word_error_rate(TEXT, hear(growing, RATE, "es"), "es") <= 1 / 16
    assert similarity_to(growing, Recording(samples, RATE)) > 0.9
    assert similarity_to(growing, recording) == pytest.approx(similarity_to(samples, recording), abs=0.08)


async def test_bad_embedding_fails(engine: KokoroEngine, embedding: Embedding, recording: Recording) -> None:
    segment = like(replace(embedding, model="nearest-0"))
    with pytest.raises(InvalidRequest, match="reference"):
        await all_of(engine.synthesize(segment))
    with pytest.raises(InvalidRequest, match="reference"):
        await all_of(engine.stream(segment, Writer(TEXT, 5, first=10).text))
    assert len(await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es"))))
    with pytest.raises(InvalidRequest, match="reference"):
        await anext(engine.refine(recording, replace(embedding, model="nearest-0"), "es"))
    with pytest.raises(UnsupportedLanguage):
        await anext(engine.refine(recording, embedding, "el"))


async def test_refinement_improves(engine: KokoroEngine, recording: Recording, embedding: Embedding) -> None:
    found = [better async for better in engine.refine(recording, embedding, "es")]
    similarities = [better.similarity["es"] for better in found]
    assert all(similarity.measured for similarity in similarities)
    assert len({similarity.before for similarity in similarities}) == 1
    measured = [similarity.now for similarity in similarities]
    assert measured == sorted(measured)
    assert similarities[0].now >= similarities[0].before
    for better in found:
        assert better.similarity["en"] == embedding.similarity["en"]
    heard = [
        similarity_to(await all_of(engine.synthesize(like(one))), recording) for one in (embedding, found[-1])
    ]
    assert heard[1] > heard[0] - 0.03


async def test_stream_waits_for_one_step_of_refinement_and_none_follows_its_end(
    engine: KokoroEngine, recording: Recording, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, begun = list[str](), asyncio.Event()
    loop, refine = asyncio.get_running_loop(), Refiner.refine

    def noting(*arguments: Any) -> Iterator[Embedding | None]:
        for found in refine(*arguments):
            steps.append("refined")
            loop.call_soon_threadsafe(begun.set)
            yield found

    async def all_steps() -> None:
        async with aclosing(engine.refine(recording, embedding, "es")) as found:
            async for _ in found:
                pass

    monkeypatch.setattr(Refiner, "refine", noting)
    monkeypatch.setattr(engine, "_scheduler", DeadlineScheduler(1))
    refining = asyncio.create_task(all_steps())
    await begun.wait()
    steps.clear()
    async with aclosing(engine.synthesize(Segment(TEXT, "ef_dora", "es"))) as chunks:
        async for _ in chunks:
            steps.append("spoken")
    refining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refining
    assert steps.count("spoken") > 5
    between = "".join(step[0] for step in steps).split("s")
    assert max(len(refined) for refined in between) <= 1
    count = len(steps)
    assert engine._scheduler.steps == 0
    await all_of(engine.synthesize(Segment("Hola.", "ef_dora", "es")))
    assert len(steps) == count
