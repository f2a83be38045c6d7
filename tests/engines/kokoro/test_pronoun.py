"""The English pronoun "I" is heard."""

from collections.abc import Callable

import numpy as np
import pytest

from kani.core.types import Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from tests.judges.judge import hear, words_of
from tests.support.kokoro import chunks_of, joined

SENTENCES = (
    "I found your keys under the sofa.|I already sent the letter.|I made some coffee for us.|"
    "I heard you the first time.|I left the car in the garage.|I told him the truth.|I had a strange dream.|"
    "No, I did not see it.|Sorry, I missed that.|I love the smell of rain.|Yes, I am ready.|"
    "I am in the garden.|I'm not sure about that.|What should I do next?|She knows that I was right."
).split("|")


@pytest.mark.heard
@pytest.mark.parametrize(
    ("voice", "language"), [("af_heart", "en-US"), ("am_michael", "en-US"), ("bm_george", "en-GB")]
)
async def test_pronoun_i_is_heard(new_engine: Callable[..., KokoroEngine], voice: str, language: str) -> None:
    """Without stress in its symbols, half of them are lost."""
    engine = new_engine()
    await engine.start()
    lost = []
    for text in SENTENCES:
        samples, _ = joined(await chunks_of(engine, Segment(text, voice, language)))
        # Whisper goes on by itself after speech without any silence at its end.
        heard = hear(np.pad(samples, (SAMPLE_RATE // 10, SAMPLE_RATE // 2)), SAMPLE_RATE, "en")
        lost += [] if "i" in words_of(heard, "en") else [heard]
    assert len(lost) <= 1, lost
