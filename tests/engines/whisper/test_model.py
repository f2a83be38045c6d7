"""One pass of Whisper over real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import weights
from engines.whisper.model import Whisper
from engines.whisper.passes import PassInput
from speech.types import Samples
from tests.engines.whisper.conftest import Said, silence
from tests.judges.judge import words_of


@pytest.fixture(scope="session")
def whisper(nowhere: Path) -> Whisper:
    """The model, for one thread."""
    files = {
        weight.name.rpartition("/")[2]: weights.load(weight, models_dir=None, cache_dir=nowhere)
        for weight in weights.WHISPER_BASE
    }
    return Whisper(files, 1)


def padded(samples: Samples) -> Samples:
    """With a little silence on both sides."""
    return np.concatenate([silence(0.3), samples, silence(0.3)])


@pytest.mark.parametrize("language", ["es", "en", "fr"])
def test_words_that_are_decided_are_not_told_again(
    whisper: Whisper, said: dict[str, Said], language: str
) -> None:
    """Behind some of them the others are told, and behind all of them nothing."""
    one = said[language]
    words = whisper.transcribe(PassInput(padded(one.samples), language, ())).words
    assert words_of(" ".join(word.word.text for word in words), language) == words_of(one.text, language)
    for known in (1, len(words) // 2, len(words)):
        prefix = tuple(token for word in words[:known] for token in word.word.tokens)
        heard = whisper.transcribe(PassInput(padded(one.samples), language, prefix))
        assert heard.has_speech
        assert [word.word.normalized for word in heard.words] == [
            word.word.normalized for word in words[known:]
        ]


@pytest.mark.parametrize("language", ["es", "en", "fr"])
def test_the_language_is_told(whisper: Whisper, said: dict[str, Said], language: str) -> None:
    """With how likely it is."""
    heard = whisper.transcribe(PassInput(padded(said[language].samples), None, ()))
    assert heard.language == language
    assert 0.5 < heard.language_probability <= 1.0
