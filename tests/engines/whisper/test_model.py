"""One pass of Whisper over real speech."""

from __future__ import annotations

import numpy as np
import pytest

from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.runtime.recognition.passes import PassInput, PassResult
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.engines.whisper.conftest import SENTENCES, Said, silence
from tests.judges.judge import words_of

pytestmark = [pytest.mark.heard, pytest.mark.parametrize("language", SENTENCES)]

PADDING_S = 0.3


def padded(samples: Samples) -> Samples:
    return np.concatenate([silence(PADDING_S), samples, silence(PADDING_S)])


def normalized(result: PassResult) -> list[str]:
    return [timed.word.normalized for timed in result.words]


def test_prefix_words_are_not_recognised_again(
    recognizer: WhisperRecognizer, said: dict[str, Said], language: str
) -> None:
    one, whisper = said[language], recognizer._whisper
    speech_s = PADDING_S + len(one.samples) / SAMPLE_RATE
    whole = transcribe(whisper, PassInput(padded(one.samples), language, speech_s=speech_s))
    text = " ".join(timed.word.text for timed in whole.words)
    assert words_of(text, language) == words_of(one.text, language)
    for known in (1, len(whole.words) // 2, len(whole.words)):
        prefix = tuple(token for timed in whole.words[:known] for token in timed.word.tokens)
        rest = transcribe(whisper, PassInput(padded(one.samples), language, prefix, speech_s=speech_s))
        assert rest.has_speech
        assert normalized(rest) == normalized(whole)[known:]
