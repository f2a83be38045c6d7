"""Compares an answer with its audio by the alignment: words that nothing says, and speech that no word tells.

Whisper goes on after the end of the speech at times, most often by repeating it: the alignment has no time
left for such words. And it leaves out a repetition, or all from the second sentence on: the alignment then
stretches a word over what is left out.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from kani.core.types import Samples
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.voice_detector import SAMPLE_RATE
from kani_text.writing import ends_sentence

# Two steps of the alignment: a word that is not longer has no time of its own.
_INSTANT_S = 0.021
# Number of such words at the end that is more than fast speech: of words, and of single characters.
_ECHOED_WORDS, _ECHOED_CHARACTERS = 2, 4
# A word before them that is as short belongs to them.
_SHORT_S = 0.11
# Names of characters in a word: "8-1-0" has three.
_SEVERAL = 2
# Longest word; more for each digit, and for each letter of a long word.
_MAX_WORD_S, _DIGIT_S, _LETTER_S = 1.5, 0.5, 0.15
# Within which a word that is stretched has ended.
_USUAL_WORD_S, _USUAL_LETTER_S = 0.9, 0.1
# Samples of a moment that may be the pause between two sentences.
_MOMENT = 400
# The last word before a pause is drawn out: a word that begins later, and was said before, begins an echo.
_LAST_WORD_S = 0.3
# Fast speech has 20 to 25 letters a second.
_LETTERS_PER_SECOND = 30
_INSTANT_SHARE = 0.2
# A digit that is said by itself, and the least time of one.
_DIGIT, _FAST_DIGIT_S = re.compile(r"(?<!\d)\d(?!\d)"), 0.2
# A spoken word begins before the end of the speech, but for a chunk of the voice detector and a step of the
# alignment.
_AFTER_SPEECH_S = 0.05
# Words at an end that lack so many seconds of the time that they need are no speech.
_LACKING_S = 0.3
# For a phrase that is said before or after them: as much as a single digit needs; a phrase lacks more.
_COPY_LACKING_S = 0.2
# A letter of a word that is spelled, but the last.
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?=[-.][^\W_](?![^\W_]))")
# A sign of an address.
_OF_ADDRESS = re.compile(r"(?<=[^\W\d_]{2})[.@](?=[^\W\d_]{2})")

Voiced = Callable[[float, float], float]
"""Returns the seconds of voice between two times of the audio."""


def without_echo(words: Sequence[TimedWord], *, spaced: bool, speech_s: float) -> tuple[TimedWord, ...]:
    """Return ``words`` without those at the end that have no time, or begin after the end of the speech.

    spaced: whether spaces divide words; speech_s: end of the speech in the words' audio.
    """
    words = tuple(timed for timed in words if timed.start_s < speech_s + _AFTER_SPEECH_S)
    words = words[: len(words) - _hurried(reversed(words))]
    last = len(words) - 1
    # The last one of all is given what is left of the audio.
    at = last
    while at > 0 and _is_instant(words[at - 1]):
        at -= 1
    if last - at + (last >= 0 and _is_instant(words[last])) < (
        _ECHOED_WORDS if spaced else _ECHOED_CHARACTERS
    ):
        return words
    while at > 0 and words[at - 1].end_s - words[at - 1].start_s < _SHORT_S:
        at -= 1
    return words[:at]


def after_echo(words: Sequence[TimedWord]) -> Sequence[TimedWord]:
    """Return words that go on after decided ones, without those at the beginning that have no time.

    Whisper, which has been given "8 1", answers "0 8 1 0" at times: it begins anew.
    """
    return words[_hurried(words) :]


def _hurried(words: Iterable[TimedWord]) -> int:
    """Return how many of the first words are faster than any speech."""
    found, most_s, lacking_s = 0, _LACKING_S, 0.0
    for count, timed in enumerate(words, 1):
        lacking_s += fastest_s(timed.word) - (timed.end_s - timed.start_s)
        if lacking_s > most_s:
            found, most_s = count, lacking_s
    return found


def without_copies(words: Sequence[TimedWord]) -> Sequence[TimedWord]:
    """Return ``words`` without phrases that have no time and are those before or after them once more.

    Whisper counts five times where someone counts four times: the alignment then has no time for one of them.
    """
    texts = [timed.word.normalized for timed in words]
    for count in range(1, len(words) // 2 + 1):
        for first in range(len(words) - count + 1):
            last = first + count
            if texts[first:last] not in (texts[max(first - count, 0) : first], texts[last : last + count]):
                continue
            fastest = sum(fastest_s(timed.word) for timed in words[first:last])
            if fastest - (words[last - 1].end_s - words[first].start_s) > _COPY_LACKING_S:
                return without_copies([*words[:first], *words[last:]])
    return words


def before_cut(words: Sequence[TimedWord]) -> tuple[Sequence[TimedWord], float]:
    """Return the words of a cut-off answer, up to its last whole sentence, and where the rest begins.

    Without a whole sentence their first half: the last words of all share the time of what was cut off.
    words: at least one.
    """
    count = len(words) - 1
    while count and not ends_sentence(words[count - 1].word.text):
        count -= 1
    count = count or len(words) // 2
    return words[:count], words[count].start_s


def told(
    words: Sequence[TimedWord], samples: Samples, speech_s: float, voiced: Voiced
) -> tuple[Sequence[TimedWord], float | None]:
    """Return the words up to speech that is left out, and when that begins; None if they tell all of it.

    The audio from there on has to be transcribed once more. samples: 16 kHz, of the words' times; speech_s:
    end of the speech in them.
    """
    for at, timed in enumerate(words):
        end_s = timed.end_s if at + 1 < len(words) else max(timed.end_s, speech_s)
        text, start_s = _stretched(timed)
        if voiced(timed.start_s, end_s) <= longest_s(timed.word.text) or (
            voiced(start_s, end_s) <= longest_s(text)
        ):
            continue
        if at + 1 == len(words) or ends_sentence(timed.word.text):
            # The word itself is said, and what is left out follows it.
            latest_s = start_s + usual_s(text)
            earliest_s = start_s + max(_SHORT_S, _width(text) / _LETTERS_PER_SECOND)
            end_s = _quietest_s(samples, earliest_s, latest_s)
            return (*words[:at], replace(timed, end_s=end_s)), end_s
        first = at
        while first > 0 and not ends_sentence(words[first - 1].word.text):
            first -= 1
        # A single sentence is kept up to the word.
        kept = words[: first or at]
        if not kept:
            continue
        around_s = kept[-1].end_s
        # Never at the very beginning: what is transcribed once more has to be shorter.
        cut_s = _quietest_s(samples, max(_SHORT_S, around_s - _SHORT_S), around_s + 2 * _SHORT_S)
        return (*kept[:-1], replace(kept[-1], end_s=max(cut_s, kept[-1].start_s))), cut_s
    return words, None


def begins_late(words: Sequence[TimedWord], samples: Samples, voiced: Voiced) -> float | None:
    """Return when the first word begins if speech before it is left out, None if none is; in seconds.

    The alignment stretches that word over it. samples: 16 kHz, of the words' times.
    """
    if len(words) < 2 or ends_sentence(words[0].word.text):
        return None
    first = words[0]
    if voiced(first.start_s, first.end_s) <= longest_s(first.word.text):
        return None
    earliest_s = first.end_s - usual_s(first.word.text)
    return _quietest_s(samples, max(_SHORT_S, earliest_s), first.end_s - _SHORT_S)


def end_of(last: TimedWord, speech_s: float) -> float:
    """Return when the last word ends: with the speech, where that is no longer than the word may take.

    The alignment ends a long word of a single token, as "ありがとうございます", too early.
    """
    if last.end_s < speech_s <= last.start_s + _USUAL_LETTER_S * _width(last.word.text):
        return speech_s
    return last.end_s


def is_spoken(words: Sequence[TimedWord], voiced: Voiced) -> bool:
    """Return whether there is time for the words, as in speech that repeats itself, unlike in a loop."""
    if not words:
        return False
    letters = sum(len(timed.word.normalized) for timed in words)
    instants = sum(map(_is_instant, words))
    seconds = voiced(words[0].start_s, words[-1].end_s)
    return letters <= _LETTERS_PER_SECOND * seconds and instants <= _INSTANT_SHARE * len(words)


def _quietest_s(samples: Samples, earliest_s: float, latest_s: float) -> float:
    """Return the middle of the quietest moment between two times, in seconds of ``samples``."""
    first = max(0, int(earliest_s * SAMPLE_RATE))
    searched = samples[first : int(latest_s * SAMPLE_RATE) + _MOMENT]
    if len(searched) <= _MOMENT:
        return min(latest_s, len(samples) / SAMPLE_RATE)
    energy = np.cumsum(np.square(searched, dtype=np.float64))
    at = int(np.argmin(energy[_MOMENT:] - energy[:-_MOMENT]))
    return (first + at + _MOMENT // 2) / SAMPLE_RATE


def _is_instant(timed: TimedWord) -> bool:
    return timed.end_s - timed.start_s < _INSTANT_S


def _width(text: str) -> int:
    """Return the number of letters; kana and Chinese characters take as long as two."""
    return sum(2 if unicodedata.east_asian_width(letter) == "W" else 1 for letter in text)


def _stretched(timed: TimedWord) -> tuple[str, float]:
    """Return the text that is stretched where a word is, and its start.

    The digits of "8-1-0" are tokens with times of their own: only the last one may be stretched.
    """
    if timed.last_token is None or _named(timed.word.text) < _SEVERAL:
        return timed.word.text, timed.start_s
    text, after_s = timed.last_token
    return text, timed.start_s + after_s


def usual_s(text: str) -> float:
    """Return the seconds within which a word has ended that is not stretched over other speech."""
    return max(_USUAL_WORD_S, _USUAL_LETTER_S * _width(text))


def longest_s(text: str) -> float:
    """Return the seconds that a word takes at most; "www" is six words in Spanish."""
    named = _named(text, of_www=6)
    return max(_MAX_WORD_S, _LETTER_S * _width(text)) + _DIGIT_S * max(0, named - 2)


def fastest_s(word: HypothesisWord) -> float:
    """Return the seconds that a word takes in the fastest speech."""
    return max(len(word.normalized) / _LETTERS_PER_SECOND, _FAST_DIGIT_S * len(_DIGIT.findall(word.text)))


def least_s(text: str) -> float:
    """Return the seconds that a word takes at least: one with digits, or spelled, has pauses in it."""
    return max(_width(text) / _LETTERS_PER_SECOND, _DIGIT_S * _named(text))


def _named(text: str, of_www: int = 3) -> int:
    """Return the number of names of characters: digits, letters of "A-B-C", "@"; of_www: those of "www"."""
    letters = len(_SPELLED.findall(text)) + of_www * text.lower().count("www.")
    return sum(map(str.isdigit, text)) + letters + len(_OF_ADDRESS.findall(text))


Align = Callable[[Sequence[HypothesisWord], float], tuple[tuple[TimedWord, ...], float]]
"""Returns the times of words, within some seconds of audio, and the mean log probability of all tokens."""


def said(
    align: Align,
    words: Sequence[HypothesisWord],
    seconds: float,
    *,
    spaced: bool,
    speech_s: float,
    decisive: bool = True,
) -> tuple[tuple[TimedWord, ...], float]:
    """Return the words that are said with their times, and the mean log probability of all tokens.

    spaced, speech_s: as ``without_echo`` takes them. An echo takes the time of the last words before it, or
    its first word takes theirs: as many words are said as have time when they are aligned without the others.
    They are searched for if the pass is decisive and spaces divide words: single characters are short anyway.
    """
    aligned, probability = align(words, seconds)
    kept = without_echo(aligned, spaced=spaced, speech_s=speech_s)
    if len(kept) == len(aligned) or not (decisive and spaced):
        return tuple(without_copies(kept)), probability
    found = {0: (aligned[:0], probability)}

    def echoes(count: int) -> bool:
        again, _ = found[count] = align(words[:count], seconds)
        *before, last = (timed.word.normalized for timed in again)
        late = last in before and speech_s - again[-1].start_s < _LAST_WORD_S
        return late or len(without_echo(again, spaced=spaced, speech_s=speech_s)) < count

    kept, probability = found[bisect_left(range(1, len(words)), True, key=echoes)]
    return tuple(without_copies(kept)), probability
