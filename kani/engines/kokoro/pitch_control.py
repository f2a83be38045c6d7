"""Pitch control and emphasis: edits the predicted prosody before the audio is decoded.

The encoder predicts F0 as a curve, and the decoder follows any curve it is given. Shifting or scaling it
makes a voice higher, lower, livelier or flatter without changing its timbre and without a filter afterwards.
Features and curves can be made longer in the same way. More energy hardly makes the sound louder: samples get
a gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from kani.core.types import Emphasis, Prosody, Samples
from kani.engines.kokoro.lead_in import VOWELS
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.network.parts import MIN_VOICED_HZ, PredictedProsody
from kani.engines.kokoro.network.silence import LAG
from kani.engines.kokoro.text.phonemes import Utterance, Word
from kani_text.questions import rise_of, rises
from kani_text.writing import SENTENCE_MARKS

NATIVE_PROSODY_FIELDS = frozenset({"pitch", "pitch_range", "pauses", "melody"})
"""Fields of a ``Prosody`` that Kokoro and its students render."""

SEMITONE = float(np.log(2.0)) / 12
"""Semitone, in log hertz."""
# Beyond this distance from the voice's log F0 the curve is a dip in an unvoiced consonant, not intonation.
_FARTHEST = 6 * SEMITONE

_SHAPES = {"low": (0.3, -1.0, 6.0), "high": (0.5, 0.0, 2.0), "peak": (0.6, 3.0, 1.0)}
"""Shapes of rises: the share of their time at which they turn, unless the stressed vowel ends before; the
semitones over the voice's tone there; those at the end."""

_HIGHEST = 9.0
"""Semitones over the voice's tone that no rise goes beyond."""

_VOICE_ENDS = 12 * SEMITONE
"""Log hertz below the voice's tone at which the predicted curve has left its speech."""

_FADED = 2.5
"""Energy below that of the loudest part of a rise at which it is hardly heard: it is at its top before."""

_STEEPEST = 0.5 * SEMITONE
"""Log hertz in a half frame (40 semitones in a second). What rises faster is heard as creak, so a short
syllable begins higher."""

_GOES_ON, _MOST_HELD = 0.5 * SEMITONE, 4.0 * SEMITONE
"""Log hertz over the voice's tone below which no list's item and no clause ends before a comma; those by
which the end is held up, at most."""

_JOINED, _MOST_JOINED = 2.0 * SEMITONE, 7.0 * SEMITONE
"""As these two, for words before a change of language: their end has to meet the next words' beginning."""

_END = 16
"""Half frames that such an end is measured over."""

_EXCLAIMED = 0.3
"""How much higher the accents of an exclamation are over the voice's tone, as a share."""

_ONSET = 6
"""Half frames before the stressed vowel in which such a syllable may rise."""

_RELEASE = 6
"""Half frames in which the pitch falls back after a rise."""


def apply_pitch(prosody: PredictedProsody, wanted: Prosody, log_f0: float) -> PredictedProsody:
    """Apply the requested pitch and range to a predicted F0 contour; returns ``prosody`` itself if neutral.

    log_f0: the log hertz about which the range is widened or narrowed. The voice's own rather than the
    utterance's, so that all pieces of a text agree.
    """
    if wanted.pitch == 0.0 and wanted.pitch_range == 1.0:
        return prosody
    voiced = prosody.pitch > MIN_VOICED_HZ
    away = np.clip(np.log(np.maximum(prosody.pitch, MIN_VOICED_HZ)) - log_f0, -_FARTHEST, _FARTHEST)
    moved = wanted.pitch * SEMITONE + (wanted.pitch_range - 1.0) * away
    pitch = np.where(voiced, prosody.pitch * np.exp(moved), prosody.pitch).astype(np.float32)
    return replace(prosody, pitch=pitch)


def emphasized_symbols(
    utterance: Utterance, emphases: Sequence[Emphasis], lead: int = 0
) -> tuple[Emphasis, ...]:
    """Return the emphases of a text as those of its symbols, of whole words, after ``lead`` other symbols."""
    found = []
    for one in emphases:
        words = [word for word in utterance.words if word.start < one.end and one.start < word.end]
        if words:
            found.append(replace(one, start=lead + words[0].first, end=lead + words[-1].stop))
    return tuple(found)


def with_rises(
    utterances: Sequence[Utterance], text: str, language: str, *, seam: bool = False
) -> list[Utterance]:
    """Return the utterances of ``text`` with the words on which the voice rises marked as such.

    seam: True if words in another language follow the last one at once.
    """
    if seam and utterances:
        utterances = [*utterances[:-1], replace(utterances[-1], seam=True)]
    if not (ends := list(rises(text, language))):
        return [*utterances]

    def marked(word: Word) -> Word:
        return replace(word, rises=True) if any(word.start < end <= word.end for end in ends) else word

    return [replace(one, words=tuple(map(marked, one.words))) for one in utterances]


class Kind(Enum):
    """The reason for which a voice rises."""

    QUESTION = auto()
    COMMA = auto()  # of a list's item or a clause, after which the sentence goes on
    SEAM = auto()  # of words that others follow at once, in another language
    EXCLAMATION = auto()


@dataclass(frozen=True, slots=True)
class Rise:
    """A rise from the stress before symbol ``first`` to the vowel ``top``; ``last`` ends its last word.

    An exclamation is its whole sentence: ``first`` begins its first word.
    """

    first: int
    top: int
    last: int
    kind: Kind = Kind.QUESTION


def rises_of(utterance: Utterance, lead: int = 0) -> tuple[Rise, ...]:
    """Return the rises of an utterance, in the symbols after ``lead`` others, in order of their ends.

    One without stress in its last word ("Did you see it?") begins in one of the two words before it.
    """
    symbols, words, found, begin = utterance.symbols, utterance.words, [], 0
    for at, word in enumerate(words):
        marks = symbols[word.stop : words[at + 1].first if at + 1 < len(words) else None]
        seam = utterance.seam and word is words[-1]
        if word.rises or seam or (word.pause_s and "," in marks):
            stress = symbols.rfind("ˈ", words[max(at - 2, 0)].first, word.stop)
            first = word.first if stress < 0 else stress + 1
            vowels = [at for at in range(first, word.stop) if symbols[at] in VOWELS]
            top = vowels[-1] if vowels else word.stop - 1
            kind = Kind.QUESTION if word.rises else Kind.SEAM if seam else Kind.COMMA
            found.append(Rise(lead + first, lead + top, lead + word.stop - 1, kind))
        if not {*SENTENCE_MARKS}.isdisjoint(marks):
            if "!" in marks and not word.rises:
                end = lead + word.stop - 1
                found.append(Rise(lead + words[begin].first, end, end, Kind.EXCLAMATION))
            begin = at + 1
    return tuple(found)


def apply_rises(
    prosody: PredictedProsody, found: Sequence[Rise], language: str, wanted: Prosody, log_f0: float
) -> PredictedProsody:
    """Lead the pitch to where questions, clauses that go on and exclamations have it in ``language``.

    The predicted fall is replaced from the stressed vowel on, in what is voiced. log_f0: as ``apply_pitch``
    takes it; the rise is as much wider as the pitch's range. Returns ``prosody`` itself if nothing rises.
    """
    shape = _SHAPES.get(rise_of(language))
    if not found or not wanted.melody or shape is None:
        return prosody
    tone = log_f0 + wanted.pitch * SEMITONE
    edges = np.maximum(np.concatenate([[0], 2 * np.cumsum(prosody.frames)]) - LAG, 0)
    pitch = prosody.pitch[0].astype(np.float64)
    log, moved = np.log(np.maximum(pitch, MIN_VOICED_HZ)), np.zeros(len(pitch))
    for one in found:
        # Symbol 0 is a pad; the mark or space after the last symbol has the end of its sound.
        begin, middle, top, end = edges[[one.first, one.first + 2, one.top + 2, one.last + 3]]
        at = np.arange(max(begin - _ONSET, 0), end)
        at = at[pitch[at] > MIN_VOICED_HZ]
        heard = at[(at >= begin) & (log[at] > tone - _VOICE_ENDS)]
        if not len(heard):
            continue
        if one.kind is Kind.EXCLAMATION:
            moved[at] += _EXCLAIMED * np.clip(log[at] - tone, 0, _FARTHEST)
            continue
        energy = prosody.energy[0, heard]
        heard = heard[energy > energy.max() - _FADED]
        begin = heard[0]
        top = max(min(top, heard[-1]), begin + 2)
        if one.kind is Kind.QUESTION:
            knee = max(min(middle, begin + round(shape[0] * (top - begin))), begin + 1)
            line = _question(at, log[at], (begin, knee, top), tone, shape[1:], wanted.pitch_range)
        else:
            seam = one.kind is Kind.SEAM
            level, most = (_JOINED, _MOST_JOINED) if seam else (_GOES_ON, _MOST_HELD)
            missing = tone + wanted.pitch_range * level - np.median(log[heard[-_END:]])
            line = log[at] + np.interp(at, (begin, top), (0.0, np.clip(missing, 0.0, most)))
        moved[at] = line - log[at]
        after = np.arange(at[-1] + 1, min(at[-1] + _RELEASE, len(log)))
        moved[after] = moved[at[-1]] * (1 - (after - at[-1]) / _RELEASE)
    pitch = np.where(pitch > MIN_VOICED_HZ, pitch * np.exp(wanted.melody * moved), pitch)
    return replace(prosody, pitch=pitch[np.newaxis].astype(np.float32))


def _question(
    at: NDArray[np.int64],
    log: NDArray[np.float64],
    knots: tuple[int, int, int],
    tone: float,
    levels: Sequence[float],
    by: float,
) -> NDArray[np.float64]:
    """Return the log hertz of a question's rise at the half frames ``at``, where ``log`` was predicted.

    knots: where it begins, turns and is at its top; levels: semitones over ``tone`` at the latter two, times
    ``by``.
    """
    begin, knee, top = knots
    turned, ended = (tone + min(by * level, _HIGHEST) * SEMITONE for level in levels)
    line = np.interp(at, knots, (log[np.searchsorted(at, begin)], turned, ended))
    line = np.where(at < begin, log, line)
    for knot, level in ((knee, turned), (top, ended)):
        line = np.maximum(line, level - _STEEPEST * np.abs(at - knot))
    return line


def emphasize(prosody: PredictedProsody, emphases: Sequence[Emphasis]) -> PredictedProsody:
    """Give symbols another length, pitch and gain; returns ``prosody`` itself if there are none."""
    if not emphases:
        return prosody
    # In half frames, as the curves are.
    edges = np.concatenate([[0], 2 * np.cumsum(prosody.frames)])
    length, moved, louder = np.ones(edges[-1]), np.zeros(edges[-1]), np.zeros(edges[-1])
    for one in emphases:
        # The first symbol is a pad.
        begin, end = edges[[one.start + 1, one.end + 1]]
        length[begin:end] = 1 / one.rate
        sounding = slice(max(begin - LAG, 0), max(end - LAG, 0))
        moved[sounding], louder[sounding] = one.pitch * SEMITONE, one.loudness
    ends = np.cumsum(length)
    new_edges = np.interp(edges, np.arange(len(ends) + 1), [0, *ends])
    frames = np.diff(np.round(new_edges / 2).astype(np.int64))
    count = 2 * int(frames.sum())
    # Old half frame that each new one repeats: ``taken`` for the features, ``heard`` for the curves.
    taken = np.searchsorted(ends, np.arange(count + LAG) + 0.5).clip(max=len(ends) - 1)
    heard = np.maximum(taken[LAG:] - LAG, 0)
    taken = taken[:count]
    pitch = np.where(prosody.pitch > MIN_VOICED_HZ, prosody.pitch * np.exp(moved), prosody.pitch)
    return replace(
        prosody,
        asr=prosody.asr[:, :, taken if prosody.asr.shape[2] == len(ends) else taken[::2] // 2],
        pitch=pitch[:, heard].astype(np.float32),
        energy=prosody.energy[:, heard],
        frames=frames,
        gain=10 ** (louder[heard] / 20),
    )


def amplified(samples: Samples, prosody: PredictedProsody, first: int) -> Samples:
    """Return the samples from frame ``first`` on with the prosody's gain."""
    if prosody.gain is None:
        return samples
    half_frames = np.arange(len(samples)) / (FRAME_SAMPLES / 2) + 2 * first - 0.5
    gain = np.interp(half_frames, np.arange(len(prosody.gain)), prosody.gain)
    return samples * gain.astype(np.float32)
