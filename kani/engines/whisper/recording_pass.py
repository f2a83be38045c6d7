"""One pass over a stretch of a recording: beam search, once more where the answer cannot be all that is said.

Nothing is left to chance: the same stretch gives the same words in each run, unless its client asks for
sampling at a temperature.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kani.engines.whisper.coverage import fastest_s, is_spoken, least_s, longest_s, said, usual_s
from kani.engines.whisper.likely_languages import CERTAIN, LANGUAGE_WEIGHT
from kani.engines.whisper.model import BEAMS, MIDDLE_SILENCE, PENALTIES, WINDOW_S, Whisper
from kani.engines.whisper.plausibility import MAX_TOKENS
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, TimedWord
from kani.runtime.recognition.recording_chunks import Chunk
from kani.runtime.transcript import compression_ratio, is_loop
from kani_text.language_detection import detect
from kani_text.writing import UNSPACED_LANGUAGES

if TYPE_CHECKING:
    import ctranslate2

logger = logging.getLogger(__name__)

# As in faster-whisper: samples at a temperature, and the limits of an answer that is speech.
_SAMPLES = 5
_MAX_COMPRESSION, _MIN_MEAN_LOG_PROBABILITY = 2.4, -1.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """One attempt at the text of a stretch."""

    language: str
    likelihood: float  # of the language
    words: tuple[TimedWord, ...]
    log_probability: float  # mean of the tokens'
    loop: bool  # whether it repeats itself without end
    end_s: float | None  # that it gives for its last words; None if it gives none

    @property
    def has_speech(self) -> bool:
        return not self.loop and self.log_probability >= _MIN_MEAN_LOG_PROBABILITY

    @property
    def score(self) -> float:
        """The log probability, and that of the language with less weight."""
        return self.log_probability + LANGUAGE_WEIGHT * math.log(self.likelihood)


def transcribe_chunk(whisper: Whisper, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
    """Transcribe a stretch; its parts are one after the other where it holds more than one answer tells.

    stopped: asked before each answer and each detection of a language; once True, the result does not count.
    """
    parts = _parts(whisper, audio, stopped)
    return [result for part in parts for result in _transcribe(whisper, part, stopped)]


def _parts(whisper: Whisper, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkInput]:
    """Return the stretch, cut in the pauses where another language begins."""
    utterances = audio.chunk.utterances() if audio.detected else []
    if len(utterances) < 2:
        return [audio]
    parts: list[ChunkInput] = []
    expected = audio.language
    for chunk in utterances:
        if stopped():
            return []
        encoded = whisper.encode(chunk.samples)
        language, _ = whisper.likely_languages(encoded, audio.candidates, expected)[0]
        if parts and language == expected:
            parts[-1] = replace(parts[-1], chunk=parts[-1].chunk.joined(chunk))
        else:
            parts.append(replace(audio, chunk=chunk, language=expected if not parts else language))
            expected = language
    return parts


def _transcribe(whisper: Whisper, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
    chunk = audio.chunk
    answer = _best_answer(whisper, audio, stopped)
    if answer is None:
        return []
    words, following = answer.words, list[ChunkResult]()
    told, told_s = _told(answer, chunk)
    if told:
        last = told[-1]
        most_s = longest_s if any(map(str.isdigit, last.word.text)) else usual_s
        over_s = max(told_s, last.start_s + most_s(last.word.text))
        # Cut earlier, the last word would be heard twice.
        rest = chunk.rest(told_s, last.start_s + fastest_s(last.word), over_s)
        if rest is not None:
            words = (*told[:-1], replace(last, end_s=min(last.end_s, rest.start_s - chunk.start_s)))
            known = replace(audio, chunk=rest, language=answer.language, detected=False)
            following = _transcribe(whisper, known, stopped)
    result = ChunkResult(
        chunk,
        words,
        answer.language,
        answer.likelihood,
        audio.temperature,
        answer.log_probability,
        answer.has_speech,
    )
    return [result, *following]


def _told(answer: _Answer, chunk: Chunk) -> tuple[tuple[TimedWord, ...], float]:
    """Return the words up to the first that is stretched over speech, and until when they tell the speech.

    Whisper leaves out what repeats the words before: the alignment then stretches a word over it.
    """
    for at, timed in enumerate(answer.words):
        if chunk.voiced_s(timed.start_s, timed.end_s) > longest_s(timed.word.text):
            return answer.words[: at + 1], timed.start_s + least_s(timed.word.text)
    if not answer.words:
        return (), chunk.duration_s
    last = answer.words[-1]
    end_s = last.end_s if answer.end_s is None else min(last.end_s, answer.end_s)
    return answer.words, max(end_s, last.start_s + least_s(last.word.text))


def _best_answer(whisper: Whisper, audio: ChunkInput, stopped: Callable[[], bool]) -> _Answer | None:
    """Return the best answer that is speech, else the likeliest; None if all are loops."""
    encoded = whisper.encode(audio.chunk.samples, WINDOW_S, MIDDLE_SILENCE)
    languages = [(audio.language or "", 1.0)]
    if audio.language is None or audio.detected:
        languages = whisper.likely_languages(encoded, audio.candidates, audio.language)
    tried: list[_Answer] = []
    for language, likelihood in languages:
        if stopped():
            return None
        answer = _attempt(whisper, encoded, audio, language, likelihood)
        tried.append(answer)
        if answer.has_speech and likelihood >= CERTAIN:
            return answer
    speech = [answer for answer in tried if answer.has_speech]
    if not speech and not audio.temperature:
        for penalty in PENALTIES:
            if stopped():
                return None
            first = tried[0]
            tried.append(_attempt(whisper, encoded, audio, first.language, first.likelihood, penalty))
            if tried[-1].has_speech:
                return tried[-1]
        logger.debug("%.1f s are not speech in any way", audio.chunk.duration_s)
    plausible = speech or [answer for answer in tried if not answer.loop]
    return max(plausible, key=lambda answer: answer.score, default=None)


def _is_translated(language: str, text: str) -> bool:
    return detect(text, (language, "en")) != language


def _attempt(
    whisper: Whisper,
    encoded: ctranslate2.StorageView,
    audio: ChunkInput,
    language: str,
    likelihood: float,
    penalty: float = 1.0,
) -> _Answer:
    seconds = audio.chunk.duration_s
    written = "en" if audio.translate else language
    # With a time for each second.
    max_tokens = min(whisper.limits.max_tokens(written, seconds) + math.ceil(seconds), MAX_TOKENS)
    prompt = whisper.prompt(audio.prompt, language, translate=audio.translate)
    how: dict[str, Any] = {"beam_size": BEAMS, "repetition_penalty": penalty}
    if audio.temperature:
        how = {"beam_size": 1, "num_hypotheses": _SAMPLES, "sampling_topk": 0}
        how["sampling_temperature"] = audio.temperature
    wanted = None
    if written != language:
        # The model may write down a text that it is to translate: the likeliest English answer is taken.
        how.setdefault("num_hypotheses", BEAMS)
        wanted = partial(_is_translated, language)
    found = whisper.answer(encoded, prompt, written, max_tokens, wanted=wanted, **how)
    spaced = audio.translate or language not in UNSPACED_LANGUAGES
    words = whisper.words_of(found.tokens, spaced=spaced)
    timed: tuple[TimedWord, ...] = ()
    if words:
        align = partial(whisper.align, encoded, language, (), translate=audio.translate)
        if audio.translate:
            timed, _ = align(words, seconds)
        else:
            timed, _ = said(align, words, seconds, spaced=spaced, speech_s=audio.chunk.speech_end_s)
    text = whisper.text_of(found.tokens)
    endless = found.count >= max_tokens and max_tokens < MAX_TOKENS
    repeats = compression_ratio(text) > _MAX_COMPRESSION and not is_spoken(timed, audio.chunk.voiced_s)
    loop = endless or is_loop(text) or repeats

    return _Answer(language, likelihood, timed, found.log_probability, loop, found.end_s)
