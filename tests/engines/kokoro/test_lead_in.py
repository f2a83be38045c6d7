"""Lead-in words before short utterances."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.types import Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.lead_in import MAX_LEAD_IN_SYMBOLS, cut_lead_in, lead_in
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, RenderedUtterance
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import chunks_of, joined


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


def test_lead_in_is_cut_at_quietest_frame() -> None:
    frames = np.array([4, 5, 5, 1, 6, 7, 7, 3])
    samples = np.repeat(np.where(np.arange(frames.sum()) == 16, 0.0, 0.5), FRAME_SAMPLES).astype(np.float32)
    alone = cut_lead_in(RenderedUtterance(samples, frames), "ab, ")
    assert alone.samples[0] == 0.0 and len(alone.samples) == frames.sum() * FRAME_SAMPLES - 16 * FRAME_SAMPLES
    assert list(alone.frames) == [5, 7, 7, 3]
    assert alone.frames.sum() * FRAME_SAMPLES == len(alone.samples)


@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        ("¡Hola!", "ef_dora", "es"),
        ("Hoy.", "em_alex", "es"),
        ("Eight.", "bm_george", "en"),
        ("Agreed.", "am_michael", "en"),
        ("Again!", "af_heart", "en"),
        ("Oggi.", "if_sara", "it"),
    ],
)
async def test_short_utterances_are_intelligible(
    engine: KokoroEngine, text: str, voice: str, language: str
) -> None:
    samples, spans = joined(await chunks_of(engine, Segment(text, voice, language)))
    assert word_error_rate(text, hear(samples, 24_000, language), language) == 0
    (span,) = spans
    assert 0 <= span.start_s < 0.1 and span.end_s <= len(samples) / 24_000
