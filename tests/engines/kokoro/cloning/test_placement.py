"""A recording's place among Kokoro's voices: the arithmetic, the data, and embeddings that strangers send."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import weights
from engines.kokoro.cloning import surrogate as module
from engines.kokoro.cloning.pitch import SAMPLE_RATE, measure_pitch
from engines.kokoro.cloning.placement import PREDICTION_BIAS, MeasuredSpeaker, VoicePlacer, normalized
from engines.kokoro.cloning.surrogate import DATA_FILE, MIDDLE, OCTAVE, ORIGIN_FILE, Surrogate
from engines.kokoro.cloning.weight_solver import WeightSearch, project_to_limits, solve_weights
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.offline.sentences import SENTENCES
from engines.kokoro.offline.surrogate import Corpus, fit_tables
from engines.kokoro.voice_embedding import LANGUAGES, embedding_from_mixes, mix_from_embedding, replace_mix
from engines.kokoro.voice_mix import MAX_NEGATIVE_WEIGHT, MAX_WEIGHT, MIN_WEIGHT, VoiceMix
from engines.kokoro.voices import DEFAULT_VOICES, INDEX_FILE, TIMBRE_SIZE, Voices
from engines.speaker_encoder import encoder as speaker_encoder
from engines.speaker_encoder.encoder import SpeakerEncoder
from speech.errors import EngineUnavailable, InvalidRequest
from speech.types import Embedding, Similarity

FOLDER = Path(module.__file__).parents[1] / "data"
VOICES = Voices()
IDS = [voice.id for voice in VOICES.all]
MIX = VoiceMix("ef_dora", (("af_heart", 0.75), ("im_nicola", 0.5), ("ff_siwis", -0.25)), -2.5, 1.25)


def placer(without: frozenset[str] = frozenset()) -> VoicePlacer:
    return VoicePlacer(VOICES, Surrogate(IDS), SpeakerEncoder(), without)


def everywhere(mix: VoiceMix) -> Embedding:
    mixes = {language: VoiceMix.from_voice(voice) for language, voice in DEFAULT_VOICES.items()}
    return embedding_from_mixes(mixes | {"es": mix}, {}, VOICES)


def test_a_style_is_mixed_by_halves() -> None:
    style = VOICES.style(MIX, 50)
    expected = sum(weight * VOICES.style(voice, 50)[0, :TIMBRE_SIZE] for voice, weight in MIX.timbre)
    np.testing.assert_allclose(style[0, :TIMBRE_SIZE], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(style[0, TIMBRE_SIZE:], VOICES.style("ef_dora", 50)[0, TIMBRE_SIZE:])
    np.testing.assert_array_equal(VOICES.style(VoiceMix.from_voice("af_sky"), 7), VOICES.style("af_sky", 7))


def test_what_norms_see_of_a_mix_is_mixed() -> None:
    statistics = StatisticsTable(IDS)
    assert statistics.level(VoiceMix.from_voice("ef_dora")) == pytest.approx(statistics.level("ef_dora"))
    mixed = VoiceMix("em_alex", (("ef_dora", 0.5), ("af_sky", 0.5)))
    own = [statistics._own(who) for who in ("ef_dora", "af_sky", mixed)]
    np.testing.assert_allclose(
        own[2].mean, (own[0].mean.astype(np.float32) + own[1].mean) / 2, rtol=1e-3, atol=1e-4
    )
    assert own[0].level < own[2].level < own[1].level or own[1].level < own[2].level < own[0].level
    assert statistics.log_f0(mixed) == statistics.log_f0("em_alex")


def test_an_embedding_gives_back_what_was_put_in() -> None:
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


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, np.nan),
        (0, 3.5),
        (0, -1.0),
        (0, 500.0),
        (0, float(IDS.index("af_heart"))),
        (1, 40.0),
        (1, -np.inf),
        (2, 0.0),
        (2, 9.0),
        (3, np.nan),
        (3, 1e30),
        (3, 0.5),
        (3, -0.9),
    ],
)
def test_values_that_make_no_sense_are_refused(at: int, value: float) -> None:
    embedding = everywhere(VoiceMix.from_voice("ef_dora"))
    embedding.values[at] = value
    with pytest.raises(InvalidRequest, match="reference: the embedding's values are none"):
        mix_from_embedding(embedding, "es", VOICES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"engine": "kani"}, "not made by kokoro"),
        ({"model": "nearest-0"}, "not made by kokoro nearest-1"),
        ({"values": np.zeros(0, np.float32)}, "not the length"),
        ({"values": np.zeros((5, 40), np.float32)}, "not the length"),
        ({"values": np.zeros(4096, np.float32)}, "not the length"),
    ],
)
def test_an_embedding_of_somebody_else_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=f"reference: .*{reason}"):
        mix_from_embedding(replace(everywhere(MIX), **change), "es", VOICES)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40))
def test_weights_are_brought_within_their_limits(raw: list[float]) -> None:
    given_weights = np.array(raw)
    found = project_to_limits(given_weights)
    assert found.sum() == pytest.approx(1, abs=1e-6)
    assert found.min() >= MIN_WEIGHT - 1e-9
    assert found.max() <= MAX_WEIGHT + 1e-9
    np.testing.assert_allclose(project_to_limits(found), found, atol=1e-6)


def test_the_nearest_mix_of_a_mix_is_itself() -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(size=(5, 256))
    wanted = np.array([0.5, 0.7, -0.3, 0.1, 0.0])
    np.testing.assert_allclose(solve_weights(table, wanted @ table, 1e-6), wanted, atol=1e-3)
    far = solve_weights(table, -10 * table[0] - 8 * table[1] + 20 * table[2], 1e-6)
    assert far.sum() == pytest.approx(1)
    assert -far[far < 0].sum() <= MAX_NEGATIVE_WEIGHT + 1e-9


def test_a_search_never_gets_worse_and_learns_from_what_it_hears() -> None:
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


def test_a_surrogate_that_heard_a_linear_truth_tells_it() -> None:
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


def test_the_data_is_what_its_origin_says() -> None:
    origin = json.loads((FOLDER / ORIGIN_FILE).read_text(encoding="utf-8"))
    with np.load(FOLDER / DATA_FILE) as data:
        arrays = {name: data[name] for name in data.files}
    content = b"".join(array.tobytes() for array in arrays.values())
    assert hashlib.sha256(content).hexdigest() == origin["sha256"]
    index = json.loads((FOLDER / INDEX_FILE).read_text(encoding="utf-8"))
    encoder = Path(speaker_encoder.__file__).with_name(speaker_encoder.ORIGIN_FILE)
    assert origin["voices_sha256"] == index["sha256"]
    assert origin["model_sha256"] == weights.KOKORO.sha256
    assert origin["encoder_sha256"] == json.loads(encoder.read_text(encoding="utf-8"))["sha256"]
    assert origin["sentences_sha256"] == hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest()
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (FOLDER / DATA_FILE).stat().st_size < 500_000


def test_data_of_other_voices_is_refused_with_the_cure() -> None:
    with pytest.raises(EngineUnavailable, match=r"surrogate\.npz and voices\.json do not belong together"):
        Surrogate(IDS[:-1])


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 broken", b"no archive"])
def test_broken_data_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / DATA_FILE).write_bytes(content)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "network" / "module.py"))
    with pytest.raises(EngineUnavailable, match=r"missing or broken.*surrogate\.npz"):
        Surrogate(IDS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_place_is_never_foreseen_to_be_worse_than_the_best_single_voice(language: str) -> None:
    surrogate = Surrogate(IDS)
    rng = np.random.default_rng(4)
    strangers = [normalized(np.maximum(rng.normal(size=256), 0)) for _ in range(3)]
    for embedding in [*surrogate.single_voices[::9], *strangers]:
        for melody in (surrogate.pitch("am_onyx"), None):
            placed = placer().place(MeasuredSpeaker(normalized(embedding), melody), language)
            similarity = placed.similarity
            assert not similarity.measured
            assert similarity.now >= similarity.before
            assert (placed.mix == VoiceMix.from_voice(placed.mix.prosody_voice)) == (
                similarity.now == similarity.before
            )
            # What is foreseen is what comes back over the wire too.
            assert mix_from_embedding(
                embedding_from_mixes({**_defaults(), language: placed.mix}, {}, VOICES), language, VOICES
            )


def _defaults() -> dict[str, VoiceMix]:
    return {language: VoiceMix.from_voice(voice) for language, voice in DEFAULT_VOICES.items()}


def test_who_is_left_out_is_in_no_mix() -> None:
    without = frozenset({"ef_dora", "pf_dora", "em_alex", "pm_alex", "af_heart"})
    surrogate = Surrogate(IDS)
    speaker = MeasuredSpeaker(
        normalized(surrogate.single_voices[IDS.index("ef_dora")]), surrogate.pitch("ef_dora")
    )
    for language in LANGUAGES:
        mix = placer(without).place(speaker, language).mix
        assert not {mix.prosody_voice, *dict(mix.timbre)} & without


def test_a_place_is_at_the_pitch_of_the_recording() -> None:
    surrogate = Surrogate(IDS)
    wanted = surrogate.pitch("am_onyx")
    speaker = MeasuredSpeaker(normalized(surrogate.single_voices[IDS.index("am_onyx")]), wanted)
    mix = placer().place(speaker, "fr").mix
    own = surrogate.pitch(mix.prosody_voice)
    assert mix.prosody_voice == "ff_siwis"
    assert own.log_f0 + mix.pitch * OCTAVE / 12 == pytest.approx(wanted.log_f0, abs=0.01)
    assert own.spread_semitones * mix.pitch_range == pytest.approx(wanted.spread_semitones, rel=0.01)
    assert PREDICTION_BIAS > 0


@pytest.mark.parametrize("hertz", [80.0, 140.0, 210.0, 400.0])
def test_a_tone_has_its_pitch_and_no_spread(hertz: float) -> None:
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * hertz * harmonic * at) / harmonic for harmonic in range(1, 6))
    melody = measure_pitch(0.1 * np.asarray(tone, np.float32))
    assert melody is not None
    assert np.exp(melody.log_f0) == pytest.approx(hertz, rel=0.01)
    assert melody.spread_semitones < 0.1


def test_a_glide_spreads_and_noise_has_no_pitch() -> None:
    at = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    octaves = np.abs(1 - at)
    phase = 2 * np.pi * np.cumsum(120 * 2**octaves) / SAMPLE_RATE
    melody = measure_pitch(np.asarray(0.1 * np.sin(phase) + 0.05 * np.sin(2 * phase), np.float32))
    assert melody is not None
    assert melody.spread_semitones == pytest.approx(12 * 0.68 / 2, abs=0.3)
    assert np.exp(melody.log_f0) == pytest.approx(120 * 2**0.5, rel=0.03)
    rng = np.random.default_rng(5)
    assert measure_pitch(0.1 * rng.standard_normal(SAMPLE_RATE).astype(np.float32)) is None
    assert measure_pitch(np.zeros(SAMPLE_RATE, np.float32)) is None
    assert measure_pitch(np.zeros(10, np.float32)) is None
