"""One pass over the last seconds of a stream: greedy decoding, other languages and beam search at a pause."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from kani.core.types import Samples
from kani.engines.whisper.coverage import after_echo, before_cut, begins_late, end_of, is_spoken, said, told
from kani.engines.whisper.likely_languages import CERTAIN, LANGUAGE_WEIGHT
from kani.engines.whisper.model import BEAMS, MIN_S, PENALTIES, WINDOW_S, Whisper
from kani.engines.whisper.plausibility import MAX_TOKENS
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import PassInput, PassResult
from kani.runtime.transcript import is_loop, is_repetitive
from kani.runtime.voice_detector import SAMPLE_RATE
from kani_text.writing import UNSPACED_LANGUAGES

if TYPE_CHECKING:
    import ctranslate2

logger = logging.getLogger(__name__)

# The language of longer audio is detected in this much of its beginning as well.
_OPENING_S = 1.8
# Least mean log probability of speech; at a pause less in a language that is sure, as no better answer comes.
_MIN_LOG_PROBABILITY, _MIN_AT_PAUSE, _OF_FEW_TOKENS = -0.9, -1.0, -1.5
# Log probability that an answer needs more than one in another language, if it does not end by itself.
_UNFINISHED = 0.5
# Longest speech of a decisive pass, with the margin before it, and its least window: in a shorter one it is
# echoed or left out at times. 15 s take 0.2 s of a processor more than 6 s.
_WINDOWS = ((1.3, WINDOW_S), (2.0, 8.0))
# Speech below this is a word or two; the margin before its onset counts.
_WORD_S = 1.2
# Tokens that a usual pass adds to those that are decided.
_NEW_TOKENS = 8


@dataclass(frozen=True, slots=True)
class _Heard:
    """The audio of a pass, to be heard in one language."""

    encoded: ctranslate2.StorageView
    audio: PassInput
    language: str
    likelihood: float  # of the language

    @property
    def is_sure(self) -> bool:
        """True if the language was given, or detected with certainty."""
        return self.audio.language is not None or self.likelihood >= CERTAIN


@dataclass(frozen=True, slots=True)
class _Found:
    result: PassResult
    log_probability: float  # mean of the tokens'
    complete: bool = True  # False if it does not end by itself, or is a loop


def transcribe(whisper: Whisper, audio: PassInput, candidates: Collection[str] = ()) -> PassResult:
    """Recognise the words in ``audio`` after its prefix.

    candidates: languages that detection chooses from, empty for every one. Where the language is not given, a
    decisive pass tries several before it finds no speech.
    """
    windows = (least_s for longest_s, least_s in _WINDOWS if audio.decisive and audio.speech_s < longest_s)
    encoded = whisper.encode(audio.samples, next(windows, MIN_S))
    if audio.language is not None:
        return _answer(whisper, _Heard(encoded, audio, audio.language, 1.0)).result
    languages = _languages_of(whisper, encoded, audio, candidates)
    answers = []
    for language, likelihood in languages if audio.decisive else languages[:1]:
        found = _answer(whisper, _Heard(encoded, audio, language, likelihood))
        if found.result.has_speech and found.complete and likelihood >= CERTAIN:
            return found.result
        score = found.log_probability + LANGUAGE_WEIGHT * math.log(likelihood)
        answers.append((found.result.has_speech, score - (not found.complete) * _UNFINISHED, found.result))
    return max(answers, key=itemgetter(0, 1))[2]


def usual_pass(whisper: Whisper, samples: Samples) -> None:
    """Do the work of a pass of speech that goes on; what it answers to these samples does not matter."""
    encoded = whisper.encode(samples)
    word = HypothesisWord("", tuple(whisper.answer_of_length(encoded, _NEW_TOKENS)))
    whisper.align(encoded, whisper.languages[0], (), [word], len(samples) / SAMPLE_RATE)


def _languages_of(
    whisper: Whisper, encoded: ctranslate2.StorageView, audio: PassInput, candidates: Collection[str]
) -> list[tuple[str, float]]:
    word = audio.decisive and audio.speech_s < _WORD_S
    languages = whisper.likely_languages(encoded, candidates, audio.expected, word=word)
    if len(audio.samples) > _OPENING_S * SAMPLE_RATE:
        # The language of just the opening is at times more certain, and then more often right.
        opening = whisper.encode(audio.samples[: int(_OPENING_S * SAMPLE_RATE)])
        of_opening = whisper.likely_languages(opening, candidates, audio.expected)
        if of_opening[0][1] > languages[0][1]:
            return of_opening
    return languages


def _answer(whisper: Whisper, heard: _Heard) -> _Found:
    """Return the words in one language.

    A decisive pass searches for another answer if one repeats itself without end, or is improbable in a
    language that is sure, and hears by itself what an answer leaves out at its beginning.
    """
    found = _attempt(whisper, heard, beams=1)
    decisive = heard.audio.decisive
    if heard.audio.before and decisive and not (found.complete and found.result.has_speech):
        # The expected words may have led the answer astray.
        heard = replace(heard, audio=replace(heard.audio, before=()))
        found = _attempt(whisper, heard, beams=1)
    improbable = heard.is_sure and not found.result.has_speech
    if decisive and (improbable or not found.complete):
        other = _attempt(whisper, heard, beams=BEAMS)
        if other.complete or not found.result.has_speech:
            found = other
    for penalty in PENALTIES if decisive and heard.is_sure else ():
        if not found.complete and not found.result.has_speech:
            found = _attempt(whisper, heard, beams=BEAMS, penalty=penalty)
    if decisive and not heard.audio.prefix:
        found = _with_opening(whisper, heard, found)
    return found


def _with_opening(whisper: Whisper, heard: _Heard, found: _Found) -> _Found:
    """Return an answer with the words of the speech before its first one, if it leaves some out."""
    words, audio = found.result.words, heard.audio
    begin_s = begins_late(words, audio.samples, _length_s)
    if begin_s is None:
        return found
    opening = replace(audio, samples=audio.samples[: int(begin_s * SAMPLE_RATE)], speech_s=begin_s)
    encoded = whisper.encode(opening.samples, WINDOW_S)
    first = _attempt(whisper, replace(heard, encoded=encoded, audio=opening), beams=1).result
    if first.untold_s is not None:
        return replace(found, result=first)
    words = (*first.words, replace(words[0], start_s=begin_s), *words[1:])
    return replace(found, result=replace(found.result, words=words))


def _attempt(whisper: Whisper, heard: _Heard, *, beams: int, penalty: float = 1.0) -> _Found:
    encoded, audio, language, likelihood = heard.encoded, heard.audio, heard.language, heard.likelihood
    seconds = len(audio.samples) / SAMPLE_RATE
    max_tokens = whisper.limits.max_tokens(language, seconds)
    tokens = whisper.generate(
        encoded, language, audio.prefix, max_tokens, beams, audio.before, penalty=penalty
    )
    spaced = language not in UNSPACED_LANGUAGES
    words = whisper.words_of(tokens, spaced=spaced)
    if not words:
        return _Found(PassResult((), language, likelihood, has_speech=True), 0.0)
    dropped = PassResult((), language, likelihood, has_speech=False)
    loop = _Found(dropped, -math.inf, complete=False)
    # In a script of many tokens some seconds have more of them than an answer may have.
    full = len(tokens) >= MAX_TOKENS
    endless = len(tokens) >= max_tokens and not full
    if is_loop(whisper.text_of([*audio.prefix, *tokens])) or (endless and not audio.decisive):
        logger.debug("dropped: %d tokens in %.1f s of %s are not speech", len(tokens), seconds, language)
        return loop
    align = partial(whisper.align, encoded, language, audio.prefix)
    timed, probability = said(
        align, words, seconds, spaced=spaced, speech_s=audio.speech_s, decisive=audio.decisive
    )
    if audio.prefix:
        timed = tuple(after_echo(timed))
    # If an answer does not end, its words before those without audio are better than none.
    if not (timed or audio.prefix) or (endless and len(timed) == len(words)):
        logger.debug("dropped: %d tokens in %.1f s of %s have no time", len(tokens), seconds, language)
        return loop
    speech_s, cut_s = audio.speech_s, None
    if full and len(timed) == len(words):
        kept, cut_s = before_cut(timed)
        timed = tuple(kept)
        speech_s = cut_s
    text = whisper.text_of([*audio.prefix, *(token for one in timed for token in one.word.tokens)])
    if is_repetitive(text) and not is_spoken(timed, _length_s):
        logger.debug("dropped: %d tokens in %.1f s of %s repeat themselves", len(tokens), seconds, language)
        return loop
    least = _MIN_AT_PAUSE + _OF_FEW_TOKENS / (len(audio.prefix) + len(tokens))
    if probability < (least if audio.decisive and heard.is_sure else _MIN_LOG_PROBABILITY):
        logger.debug("dropped: %.1f s of %s are too improbable (%.2f)", seconds, language, probability)
        return _Found(dropped, probability)
    kept, untold_s = told(timed, audio.samples, speech_s, _length_s)
    untold_s = cut_s if untold_s is None else untold_s
    if untold_s is None and kept:
        kept = (*kept[:-1], replace(kept[-1], end_s=end_of(kept[-1], speech_s)))
    result = PassResult(tuple(kept), language, likelihood, has_speech=True, untold_s=untold_s)
    return _Found(result, probability, complete=not endless)


def _length_s(start_s: float, end_s: float) -> float:
    return end_s - start_s
