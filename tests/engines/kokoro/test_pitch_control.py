"""Pitch, emphasis and lead-in words."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from kani.core.types import NEUTRAL, Emphasis, Prosody, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import IncrementalSentence
from kani.engines.kokoro.lead_in import MAX_LEAD_IN_SYMBOLS, cut_lead_in, lead_in
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Stop
from kani.engines.kokoro.network.parts import PredictedProsody, log_f0_of
from kani.engines.kokoro.pitch_control import amplified, apply_pitch, emphasize
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import chunks_of, joined, semitones
from tests.support.sound_measures import pitch

TEXT = "Mis primos viven en una casa de madera junto al faro."


def prosody(hertz: list[float]) -> PredictedProsody:
    curve, asr = np.array([hertz], np.float32), np.zeros((1, 512, 0), np.float32)
    return PredictedProsody(asr, curve, np.zeros_like(curve), np.array([len(hertz) // 2]), log_f0_of(curve))


def test_voiced_pitch_is_shifted_and_its_range_scaled() -> None:
    tone = float(np.log(165))
    plain = prosody([9.0, 0.0, 80.0, 150.0, 180.0, 300.0])
    for neutral in (NEUTRAL, Prosody(rate=1.2, loudness=3.0, brightness=2.0, pauses=2.0)):
        assert apply_pitch(plain, neutral, 5.0) is plain
    for shift in (2.0, -3.5):
        changed = apply_pitch(plain, Prosody(pitch=shift), tone)
        assert np.array_equal(changed.pitch[0, :2], plain.pitch[0, :2])
        moved = 12 * np.log2(changed.pitch[0, 2:] / plain.pitch[0, 2:])
        np.testing.assert_allclose(moved, shift, atol=1e-4)
        assert changed.energy is plain.energy and changed.frames is plain.frames and changed.asr is plain.asr
        assert changed.pitch.dtype == np.float32
    near = prosody([165.0, 140.0, 190.0, 220.0])
    for by in (0.6, 1.6):
        changed = apply_pitch(near, Prosody(pitch_range=by), tone)
        np.testing.assert_allclose(np.log(changed.pitch) - tone, by * (np.log(near.pitch) - tone), atol=1e-5)


def test_dips_are_not_widened_and_the_lead_in_is_cut_where_it_is_quiet() -> None:
    hertz = [float(value) for value in np.geomspace(31, 600, 200)]
    changed = apply_pitch(prosody(hertz), Prosody(pitch_range=1.6), float(np.log(165))).pitch[0]
    assert np.all(np.diff(changed) > 0)
    assert np.abs(12 * np.log2(changed / np.array(hertz))).max() <= 0.6 * 6 + 1e-3
    frames = np.array([4, 5, 5, 1, 6, 7, 7, 3])
    samples = np.repeat(np.where(np.arange(frames.sum()) == 16, 0.0, 0.5), FRAME_SAMPLES).astype(np.float32)
    alone, left = cut_lead_in(samples, frames, "ab, ")
    assert alone[0] == 0.0 and len(alone) == frames.sum() * FRAME_SAMPLES - 16 * FRAME_SAMPLES
    assert list(left) == [5, 7, 7, 3]
    assert left.sum() * FRAME_SAMPLES == len(alone)


def test_log_f0_is_that_of_voiced_values(engine: KokoroEngine) -> None:
    curve = [5.0, 9.0, 60.0, 90.0, 150.0, 160.0, 170.0]
    assert log_f0_of(np.array([curve], np.float32)) == pytest.approx(np.log(154))
    assert log_f0_of(np.array([[5.0, 0.0]], np.float32)) == pytest.approx(np.log(100))
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    tone = engine._synthesizer._statistics.log_f0
    assert all(70 < np.exp(tone(voice.id)) < 340 for voice in engine.info.voices)
    assert tone("am_onyx") < tone("am_michael") < tone("af_heart") < tone("if_sara")
    heard, _ = semitones(joined(asyncio.run(chunks_of(engine, Segment(TEXT, "ef_dora", "es"))))[0])
    assert 12 * tone("ef_dora") / np.log(2) == pytest.approx(heard, abs=1.5)


def test_growing_text_has_pitch_shift(engine: KokoroEngine) -> None:
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    words = TEXT.split()
    steps = [(" ".join(words[:count]), None) for count in (6, 9)] + [(TEXT, ".")]
    pitches = []
    for wanted in (NEUTRAL, Prosody(pitch=2.0)):
        segment = Segment(TEXT, "ef_dora", "es", prosody=wanted)
        sentence = IncrementalSentence(engine._synthesizer, engine._reader("es"), segment)
        for text, ending in steps:
            pieces = [heard.samples for heard in sentence.synthesize(text, ending, Stop())]
            pitches.append(semitones(np.concatenate(pieces))[0])
    assert np.subtract(pitches[3:], pitches[:3]) == pytest.approx(2.0, abs=0.7)


def test_emphasized_symbols_are_longer_higher_and_louder() -> None:
    frames = np.array([4, 10, 12, 8, 10, 6])
    count = int(frames.sum())
    curve = np.full((1, 2 * count), 200, np.float32)
    features = np.repeat(np.arange(len(frames), dtype=np.float32), frames)[None, None]
    plain = PredictedProsody(features, curve, np.zeros_like(curve), frames, log_f0_of(curve))
    changed = emphasize(plain, [Emphasis(1, 3, 0.8, 2.0, 6.0)])
    lasting = [int(np.sum(changed.asr == symbol)) for symbol in range(len(frames))]
    assert changed.frames.tolist() == [4, 10, 15, 10, 10, 6]
    assert lasting == changed.frames.tolist()
    assert changed.pitch.shape == changed.energy.shape == (1, 2 * 55)
    # The sound of a symbol comes 60 ms before its features.
    higher = np.arange(2 * 14 - 5, 2 * 39 - 5)
    assert np.array_equal(np.flatnonzero(changed.pitch[0] > 201), higher)
    assert changed.pitch[0, higher] == pytest.approx(200 * 2 ** (2 / 12))
    assert changed.gain is not None and changed.gain[higher] == pytest.approx(10 ** (6 / 20))
    assert changed.gain.sum() == pytest.approx(60 + 50 * 10 ** (6 / 20))
    samples = amplified(np.ones(4 * FRAME_SAMPLES, np.float32), changed, 10)
    assert samples[:FRAME_SAMPLES] == pytest.approx(1) and samples[-FRAME_SAMPLES:] == pytest.approx(2, 0.01)
    assert amplified(samples, plain, 10) is samples
    assert emphasize(plain, []) is plain


@pytest.mark.parametrize("light", [False, True])
async def test_emphasized_word_is_heard_as_such(engine: KokoroEngine, light: bool) -> None:
    text, word = "It is a large house with a very large garden.", "very"
    plain = Segment(text, "af_heart", "en", light=light, ahead_s=10.0)
    at = text.index(word)
    strong = Emphasis(at, at + len(word), 0.8, 3.0, 4.0)
    changes = []
    samples, spans = joined(await chunks_of(engine, plain))
    own_samples, own_spans = joined(await chunks_of(engine, replace(plain, emphases=(strong,))))
    for span, own in zip(spans, own_spans, strict=True):
        ratio = (own.end_s - own.start_s) / (span.end_s - span.start_s)
        parts = [
            each[round(one.start_s * SAMPLE_RATE) : round(one.end_s * SAMPLE_RATE)]
            for each, one in ((samples, span), (own_samples, own))
        ]
        tones = [12 * np.log2(np.nanmedian(pitch(np.pad(part, 600)))) for part in parts]
        levels = [10 * np.log10(np.mean(np.square(part))) for part in parts]
        changes.append((text[span.start : span.end], ratio, tones[1] - tones[0], levels[1] - levels[0]))
    # In the last word the pitch falls too steeply to be compared.
    for name, ratio, higher, louder in changes[:-1]:
        if name == word:
            assert ratio == pytest.approx(1 / 0.8, abs=0.1)
            assert higher == pytest.approx(3.0, abs=0.7) and louder == pytest.approx(4.0, abs=1.5)
        else:
            assert ratio == pytest.approx(1.0, abs=0.1)
            assert abs(higher) < 0.7 and abs(louder) < 1.5
    assert word_error_rate(text, hear(own_samples, SAMPLE_RATE, "en"), "en") == 0


def test_only_short_utterances_with_initial_vowel_get_lead_in() -> None:
    short, long = Utterance("ˈola.", ()), Utterance("a" * (MAX_LEAD_IN_SYMBOLS + 1), ())
    for language in ("es", "es-MX", "en-GB", "it"):
        assert lead_in(short, language).endswith(", ")
        assert set(lead_in(short, language)) <= set(VOCABULARY)
        assert lead_in(long, language) == ""
    assert lead_in(Utterance("ɡɾˈasjas.", ()), "es") == ""
    weak, diphthong = Utterance("“ɪf sˈO.”", ()), Utterance("I ˈæm.", ())
    assert lead_in(weak, "en-GB") == "" and lead_in(weak, "it") and lead_in(diphthong, "en")
    assert lead_in(short, "fr") == lead_in(short, "pt") == ""
