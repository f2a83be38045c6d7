"""An engine that is loaded in the background, and joins the service once it has passed a trial."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kani.core.audio.checked import checked_speech
from kani.core.audio.resampling import Resampler
from kani.core.engine import Engine
from kani.core.errors import EngineFailed, EngineUnavailable, SpeechError
from kani.core.recognizer import Mark, RecognizedWord, Recognizer
from kani.core.types import Samples, Sampling, Segment
from kani_text.boundaries import weight
from kani_text.languages import primary
from kani_text.writing import UNSPACED_LANGUAGES

TRIAL_SENTENCES = {
    "es": "Buenos días, mañana vamos todos juntos a la playa.",
    "en": "Good morning, tomorrow we are all going to the beach together.",
    "de": "Guten Morgen, morgen fahren wir alle zusammen an den Strand.",
    "fr": "Bonjour, demain nous allons tous ensemble à la plage.",
    "it": "Buongiorno, domani andiamo tutti insieme alla spiaggia.",
    "pt": "Bom dia, amanhã vamos todos juntos para a praia.",
    "nl": "Goedemorgen, morgen gaan we met z'n allen naar het strand.",
    "zh": "你好，明天我想去北京看我的朋友。",
    "ja": "おはようございます、明日はみんなで海に行きます。",
    "ko": "안녕하세요, 내일 우리 모두 함께 바다에 갑니다.",
    "ar": "صباح الخير، غدا نذهب جميعا إلى البحر.",
}
"""The sentence of each language."""

LETTERS_PER_SECOND = 13.0
MIN_LENGTH, MAX_LENGTH = 0.4, 2.5
"""Range of the sentence's duration, relative to the one expected of its letters."""

MIN_LOUDNESS_DB = -45.0
"""Loudness (root mean square, relative to full scale) below which the sentence counts as silent."""

MIN_RECOGNIZED_SHARE = 0.5
"""Least share of the sentence's words that has to be recognised. A small recogniser misses some words of a
good voice; in noise, music and invented words it recognises none of them."""

SEEDS = (1, 2)
"""Seeds of the attempts: a sampled model fails once in a while."""

TRIAL_TIMEOUT_S = 120.0
"""Seconds after which an attempt is given up, as the engine hangs."""


class TrialFailed(EngineFailed):
    """The engine's speech is not as it should be; the message says what is wrong with it."""


async def run_trial(engine: Engine, recognizer: Recognizer, language: str) -> None:
    """Return once ``engine`` has spoken a sentence that ``recognizer`` understands. Both are started.

    language: BCP 47 tag of the sentence, if the engine supports it; else the first of its languages that has
    a sentence. Raises TrialFailed, and the errors of the engine and the recogniser.
    """
    spoken = [primary(language), *engine.info.default_voices]
    chosen = next(
        (tag for tag in spoken if tag in TRIAL_SENTENCES and tag in engine.info.default_voices), None
    )
    if chosen is None:
        raise TrialFailed("it supports no language that has a test sentence")
    for seed in SEEDS:
        try:
            async with asyncio.timeout(TRIAL_TIMEOUT_S):
                await _attempt(engine, recognizer, chosen, seed)
        except TimeoutError:
            raise TrialFailed(f"its test sentence was not complete after {TRIAL_TIMEOUT_S:g} s") from None
        except TrialFailed:
            if seed == SEEDS[-1]:
                raise
        else:
            return


async def _attempt(engine: Engine, recognizer: Recognizer, language: str, seed: int) -> None:
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
    speech = checked_speech(
        engine.synthesize(segment), engine.info.name, rate, TRIAL_TIMEOUT_S, lambda: len(sentence)
    )
    try:
        async with aclosing(speech) as chunks:
            parts = [chunk.samples async for chunk in chunks]
    except EngineFailed as error:
        raise TrialFailed(str(error)) from error
    samples = np.concatenate([*parts, np.zeros(0, np.float32)])
    seconds = len(samples) / rate
    loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    if 20 * np.log10(max(loudness, 1e-9)) < MIN_LOUDNESS_DB:
        raise TrialFailed("its test sentence is silent")
    if not MIN_LENGTH * expected_s <= seconds <= MAX_LENGTH * expected_s:
        raise TrialFailed(
            f"its test sentence is {seconds:.1f} s long, where {MIN_LENGTH * expected_s:.1f} to "
            f"{MAX_LENGTH * expected_s:.1f} s are expected"
        )
    recognized = await _recognize(recognizer, samples, rate, language)
    found = recognized_share(sentence, recognized, language)
    if found < MIN_RECOGNIZED_SHARE:
        raise TrialFailed(
            f"{found:.0%} of the words of its test sentence were recognised, at least "
            f"{MIN_RECOGNIZED_SHARE:.0%} are required ({sentence!r} was recognised as {recognized!r})"
        )


def recognized_share(sentence: str, recognized: str, language: str) -> float:
    """Return the share of a sentence's words of three letters and more that occur in the recognised text.

    In languages without spaces every character counts as a word. Spaces of the recognised text are ignored.
    """
    if language in UNSPACED_LANGUAGES:
        words = re.findall(r"\w", sentence)
    else:
        words = re.findall(r"\w{3,}", sentence.casefold())
    letters = "".join(re.findall(r"\w", recognized.casefold()))
    return sum(word in letters for word in words) / len(words)


async def _recognize(recognizer: Recognizer, samples: Samples, rate: int, language: str) -> str:
    resampler = Resampler(rate, recognizer.info.sample_rate)

    async def audio() -> AsyncIterator[Samples | Mark]:
        yield np.concatenate((resampler.feed(samples), resampler.finish()))

    async with aclosing(recognizer.recognize(audio(), language)) as events:
        return " ".join([event.text async for event in events if isinstance(event, RecognizedWord)])


log = logging.getLogger(__name__)

LateEngineState = Literal["loading", "trying", "speaking", "failed"]


@dataclass(eq=False)
class LateEngine:
    """Loads an engine in the background, runs a trial of it, and hands it to the service.

    A failure is logged once, with a remedy; the other engines are not affected.
    """

    name: str  # the engine's
    _engine: Engine
    _recognizer: Recognizer  # recognises the trial's speech: not started, used only here
    _language: str  # BCP 47 tag of the trial, if the engine supports it
    state: LateEngineState = "loading"
    _task: asyncio.Task[None] | None = None

    def start(self, admit: Callable[[Engine], None]) -> None:
        """Start in the background; ``admit`` is called with the engine once it has passed the trial."""
        self._task = asyncio.create_task(self._run(admit), name=f"{self.name} joins")

    async def stop(self) -> None:
        """Give up, if the engine has not joined. A thread that loads the model may go on (see ``state``)."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, admit: Callable[[Engine], None]) -> None:
        try:
            await self._engine.start()
            self.state = "trying"
            await self._run_trial()
            admit(self._engine)
            self.state = "speaking"
        except EngineUnavailable as error:
            self._fail(str(error))
        except SpeechError as error:
            self._fail(f"{error}. Try it with --engine {self.name}, or take other model files")
        except Exception:
            # Drivers and libraries raise errors of any type, and none of them may end the service.
            log.exception("the %s engine failed while it was loaded or tried", self.name)
            self._fail("it failed, see the traceback above: mend that, or do without it by --engine kokoro")
        finally:
            if self.state != "speaking":
                await self._engine.stop()
        if self.state == "speaking":
            info = self._engine.info
            languages = " ".join(sorted(info.default_voices))
            log.info("%s %s has joined, and speaks %s from now on", info.name, info.version, languages)

    async def _run_trial(self) -> None:
        await self._recognizer.start()
        try:
            await run_trial(self._engine, self._recognizer, self._language)
        finally:
            await self._recognizer.stop()

    def _fail(self, reason: str) -> None:
        self.state = "failed"
        log.warning("the %s engine does not join; the other engines are not affected: %s", self.name, reason)
