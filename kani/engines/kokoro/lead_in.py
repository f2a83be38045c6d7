"""Beginnings of utterances: a lead-in word that is cut off before a vowel, voice before a first consonant.

The model begins such an utterance with a burst: "Hola" is heard as "Gola", "Uno" as "Gunos". After another
word and a comma it is pronounced as inside a sentence. So a lead-in word is synthesised before it and removed
at the pause between.

Utterances of one to three words that whisper-base transcribed correctly without and with a lead-in, two
voices a language (French one): Spanish 16 and 24 of 32 (the rest are other spellings of the same sounds),
English 20 and 23 of 24, Italian 10 and 12 of 14; French 8 and 6 of 9, Portuguese 9 and 7 of 12, so those two
get none.

In Spanish and Portuguese the burst makes first consonants stops: "Pañana" for "Mañana", "Cuarta" for
"Guarda", "Projo" for "Rojo". So m, n and l become longer, b, d and g get a nasal before them, the Portuguese
v a β and r a breath, and voice rises for 0.1 s before the Spanish r. What is put before another consonant
grows louder until it: as loud as the rest, pf_dora's nasal was heard as "um" (4 of 50 sentences), and with a
rise that is not squared her student's breath as a vowel (5 of 12). A fade of 20 ms did not help, nor did a
lead-in word: parts of it were heard. First consonants that whisper-base heard as others, of 100 new
sentences (38 with b, d, g or v), before and now: pf_dora 12 and 0, her student 11 and 2, pm_alex 11 and 2; in
Spanish, of 100 before: ef_dora 0, her student 2.

English ones that begin with a short vowel without stress ("If not", "Agreed") lose it with the lead-in: of 48
(16 by three voices) 32 were transcribed correctly with one, 45 without.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.timing import SILENT_ENERGY
from kani_text.languages import primary

MAX_LEAD_IN_SYMBOLS = 14
"""Longest utterance that gets a lead-in: longer ones have no burst and would start 0.1 s later for
nothing."""

VOWELS = frozenset("aeiouyɑɐɒæəɚɛɜɪɔʊʌøœᵻAIOQWY")
_WEAK = frozenset("əɪɛæʌɑɔʊ")
_OPENING = "“( "
_STRESS = "ˈˌ" + _OPENING
LEAD_INS = {"es": "bjˈen, ", "en": "wˈɛl, ", "it": "bˈɛne, "}
"""Symbols of the lead-in words by language."""

_SPOKEN = {"m": "mm", "n": "nn", "l": "ll", "b": "mb", "d": "nd", "ɡ": "ŋɡ"}
BEGINNINGS = {"es": _SPOKEN, "pt": {**_SPOKEN, "v": "βv", "x": "hhx"}}
"""Symbols for an utterance's first consonant by language. Other ones before it become audible by and by."""

_RISING_BEFORE = {"es": ("r",)}
_RISING = 8  # half frames in which energy rises
_VOICED_HZ = 60.0

_LAG_FRAMES = 2.4
"""Lag of the predicted durations after the audio (60 ms, see ``timing``)."""

_SEARCHED = (-6, 3)
"""Frames around the expected pause that are searched for the quietest."""


def lead_in(utterance: Utterance, language: str) -> str:
    """Symbols to put before an utterance in ``language`` (BCP 47); empty where none are needed."""
    begins = utterance.symbols.lstrip(_STRESS)[:1]
    if len(utterance.symbols) > MAX_LEAD_IN_SYMBOLS or begins not in VOWELS:
        return ""
    if primary(language) == "en" and utterance.symbols.lstrip(_OPENING)[:1] in _WEAK:
        return ""
    return LEAD_INS.get(primary(language), "")


def with_beginning(utterance: Utterance, language: str) -> Utterance:
    """Return the utterance with the symbols of ``BEGINNINGS`` for its first consonant."""
    symbols = utterance.symbols
    at = len(symbols) - len(symbols.lstrip(_STRESS))
    first = symbols[at : at + 1]
    spoken = BEGINNINGS.get(primary(language), {}).get(first, first)
    if spoken == first:
        return utterance

    def moved(symbol: int) -> int:
        return symbol + (len(spoken) - 1 if symbol > at else 0)

    words = []
    for word in utterance.words:
        characters = tuple(map(moved, word.characters))
        words.append(replace(word, first=moved(word.first), stop=moved(word.stop), characters=characters))
    return replace(utterance, symbols=symbols[:at] + spoken + symbols[at + 1 :], words=tuple(words))


def with_rise(prosody: PredictedProsody, symbols: str, language: str) -> PredictedProsody:
    """Return the prosody of ``symbols`` with what precedes their first consonant rising from nothing.

    That is voice before those of ``_RISING_BEFORE``, or the sound of other symbols that it was given.
    """
    begins = symbols.lstrip(_STRESS)
    sounding = np.flatnonzero(prosody.energy[0] > SILENT_ENERGY)
    voiced = np.flatnonzero(prosody.pitch[0] > _VOICED_HZ)
    if not len(sounding) or not len(voiced):
        return prosody
    first = int(sounding[0])
    if begins[:1] in _RISING_BEFORE.get(primary(language), ()):
        energy, pitch = prosody.energy.copy(), prosody.pitch.copy()
        begin = max(first - _RISING, 0)
        energy[0, begin:first] = np.linspace(0.0, energy[0, first], first - begin, endpoint=False)
        pitch[0, begin : voiced[0]] = pitch[0, voiced[0]]
        return replace(prosody, energy=energy, pitch=pitch)
    spoken = BEGINNINGS.get(primary(language), {}).values()
    given = next((each for each in spoken if begins.startswith(each) and each[0] != each[-1]), "")
    consonant = len(symbols) - len(begins) + len(given) - 1
    loud = round(2 * (prosody.frames[: consonant + 1].sum() - _LAG_FRAMES))
    if not given or loud <= first:
        return prosody
    gain = np.interp(np.arange(prosody.energy.shape[1]), [first, loud], [0.0, 1.0]) ** 2
    return replace(prosody, gain=gain if prosody.gain is None else gain * prosody.gain)


def cut_lead_in(
    samples: Samples, frames: npt.NDArray[np.int64], lead: str
) -> tuple[Samples, npt.NDArray[np.int64]]:
    """Remove the audio of ``lead`` from that of ``lead`` and an utterance, and its symbols' lengths.

    frames: length of each symbol, the pads included. The cut is at the quietest frame near the pause; the
    rest of the pause becomes the first pad.
    """
    edges = np.concatenate([[0], np.cumsum(frames)])
    # The pad before the text is symbol 0, so the lead-in's last symbol, its space, has its own length.
    space = len(lead)
    expected = (edges[space] + edges[space + 1]) / 2 - _LAG_FRAMES
    first, last = (max(0, round(expected + offset)) for offset in _SEARCHED)
    last = min(last, int(edges[space + 1]))
    searched = samples[first * FRAME_SAMPLES : (last + 1) * FRAME_SAMPLES]
    whole = searched[: len(searched) // FRAME_SAMPLES * FRAME_SAMPLES]
    power = np.square(whole.reshape(-1, FRAME_SAMPLES)).mean(axis=1)
    cut = first + int(power.argmin())
    frames = frames[space:].copy()
    frames[0] = edges[space + 1] - cut
    return samples[cut * FRAME_SAMPLES :], frames
