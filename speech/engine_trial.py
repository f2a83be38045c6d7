"""Tries an engine: it speaks a sentence that a recogniser has to understand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np

from speech.audio.pcm import Resampler
from speech.engine import Engine
from speech.errors import EngineFailed
from speech.recognizer import Mark, RecognizedWord, Recognizer
from speech.text.languages import primary
from speech.text.segmenter import weight
from speech.types import Samples, Sampling, Segment

TRIAL_SENTENCES = {
    "es": "Buenos días, mañana vamos todos juntos a la playa.",
    "en": "Good morning, tomorrow we are all going to the beach together.",
    "de": "Guten Morgen, morgen fahren wir alle zusammen an den Strand.",
    "fr": "Bonjour, demain nous allons tous ensemble à la plage.",
    "it": "Buongiorno, domani andiamo tutti insieme alla spiaggia.",
    "pt": "Bom dia, amanhã vamos todos juntos para a praia.",
    "zh": "你好，明天我想去北京看我的朋友。",
    "ja": "おはようございます、明日はみんなで海に行きます。",
    "ko": "안녕하세요, 내일 우리 모두 함께 바다에 갑니다.",
    "ar": "صباح الخير، غدا نذهب جميعا إلى البحر.",
}
"""A sentence for each language that an engine can be tried in."""

LETTERS_PER_SECOND = 13.0
MIN_LENGTH, MAX_LENGTH = 0.4, 2.5
"""How long the sentence may be, of what is expected of its letters."""

MIN_LOUDNESS_DB = -45.0
"""Loudness (root mean square, to full scale) below which nothing can be heard."""

MIN_RECOGNIZED_SHARE = 0.5
"""The share of the sentence's words that have to be understood. A small recogniser misses some of a good
voice; of noise, music and invented words it understands none of just these."""

SEEDS = (1, 2)
"""A sampled model fails once in a while: it gets a second try."""

TRIAL_TIMEOUT_S = 120.0
"""Seconds for one try, beyond which the engine hangs."""

_UNSPACED = frozenset({"zh", "ja"})


class TrialFailed(EngineFailed):
    """An engine started, and did not speak as it should; the message says what was wrong with its speech."""


async def run_trial(engine: Engine, recognizer: Recognizer, language: str) -> None:
    """Return once ``engine`` has said a sentence that ``recognizer`` understands; both have been started.

    language: a BCP 47 tag, in which it is tried if it speaks that, else in the first of its own that has a
    sentence. Raises TrialFailed, and what the engine and the recogniser raise.
    """
    spoken = [primary(language), *engine.info.default_voices]
    tried_in = next(
        (tag for tag in spoken if tag in TRIAL_SENTENCES and tag in engine.info.default_voices), None
    )
    if tried_in is None:
        raise TrialFailed("it speaks no language that it can be tried in")
    for seed in SEEDS:
        try:
            async with asyncio.timeout(TRIAL_TIMEOUT_S):
                await _try(engine, recognizer, tried_in, seed)
        except TimeoutError:
            raise TrialFailed(f"its test sentence was not there after {TRIAL_TIMEOUT_S:g} s") from None
        except TrialFailed:
            if seed == SEEDS[-1]:
                raise
        else:
            return


async def _try(engine: Engine, recognizer: Recognizer, language: str, seed: int) -> None:
    sentence = TRIAL_SENTENCES[language]
    expected_s = weight(sentence) / LETTERS_PER_SECOND
    segment = Segment(
        sentence,
        engine.info.default_voices[language],
        language,
        max_seconds=MAX_LENGTH * expected_s,
        sampling=Sampling(seed=seed),
    )
    rate = engine.info.sample_rate
    async with aclosing(engine.synthesize(segment)) as chunks:
        parts = [chunk.samples async for chunk in chunks]
    samples = np.concatenate([*parts, np.zeros(0, np.float32)])
    seconds = len(samples) / rate
    if not np.isfinite(samples).all():
        raise TrialFailed("some samples of its test sentence are no numbers")
    if not len(samples) or 20 * np.log10(max(_loudness(samples), 1e-9)) < MIN_LOUDNESS_DB:
        raise TrialFailed("its test sentence is silent")
    if not MIN_LENGTH * expected_s <= seconds <= MAX_LENGTH * expected_s:
        raise TrialFailed(
            f"its test sentence is {seconds:.1f} s long, where {MIN_LENGTH * expected_s:.1f} to "
            f"{MAX_LENGTH * expected_s:.1f} s are expected"
        )
    understood = await _understood(recognizer, samples, rate, language)
    found = recognized_share(sentence, understood, language)
    if found < MIN_RECOGNIZED_SHARE:
        raise TrialFailed(
            f"{found:.0%} of the words of its test sentence can be understood, where {MIN_RECOGNIZED_SHARE:.0%} are "
            f"needed ({sentence!r} was understood as {understood!r})"
        )


def recognized_share(sentence: str, understood: str, language: str) -> float:
    """The share of a sentence's words of three letters and more that are among what was understood.

    Where words are not set apart every character counts; spaces of what was understood count nowhere.
    """
    if language in _UNSPACED:
        words = re.findall(r"\w", sentence)
    else:
        words = re.findall(r"\w{3,}", sentence.casefold())
    letters = "".join(re.findall(r"\w", understood.casefold()))
    return sum(word in letters for word in words) / len(words)


def _loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


async def _understood(recognizer: Recognizer, samples: Samples, rate: int, language: str) -> str:
    resampler = Resampler(rate, recognizer.info.sample_rate)

    async def audio() -> AsyncIterator[Samples | Mark]:
        yield np.concatenate((resampler.feed(samples), resampler.finish()))

    async with aclosing(recognizer.recognize(audio(), language)) as told:
        return " ".join([event.text async for event in told if isinstance(event, RecognizedWord)])
