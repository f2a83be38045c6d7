"""Short utterances that begin with a vowel are said behind a word that nobody hears.

Alone, the model begins them with a burst: "Hola" is heard as "Gola", "Uno" as "Gunos". Behind another
word and a comma it says them as inside a sentence, so they are given one, and what comes of it is cut
off in the pause between.

Utterances of one to three words that whisper-base heard right, alone and led in, two voices a language
(French one): Spanish 16 and 24 of 32 (what was left are other spellings of the same sounds), English
20 and 23 of 24, Italian 10 and 12 of 14; French 8 and 6 of 9, Portuguese 9 and 7 of 12, so those two
stay alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.kokoro.network.onnx_model import FRAME_SAMPLES, RenderedUtterance
from engines.kokoro.text.phonemes import Utterance
from speech.text.languages import primary

MAX_LEAD_IN_SYMBOLS = 14
"""Utterances of up to so many symbols are led in: the burst is gone in longer ones, and they would
pay a tenth of a second for nothing."""

_VOWELS = frozenset("aeiouyɑɐɒæəɛɜɪɔʊʌøœAIOQWY")
_STRESS = "ˈˌ“( "
_LEAD_INS = {"es": "bjˈen, ", "en": "wˈɛl, ", "it": "bˈɛne, "}
_LAG_FRAMES = 2.4
"""How much later than it sounds the durations say that a word begins (60 ms, ``timing``)."""

_SEARCHED = (-6, 3)
"""Frames around the expected pause in which the quietest is looked for."""


def lead_in(utterance: Utterance, language: str) -> str:
    """What to put before an utterance in ``language`` (BCP 47); empty for one that needs nothing."""
    begins = utterance.symbols.lstrip(_STRESS)[:1]
    if len(utterance.symbols) > MAX_LEAD_IN_SYMBOLS or begins not in _VOWELS:
        return ""
    return _LEAD_INS.get(primary(language), "")


def cut_lead_in(rendering: RenderedUtterance, lead: str) -> RenderedUtterance:
    """A rendering of ``lead`` and an utterance, as one of the utterance alone.

    It is cut at the quietest frame near the pause; what stays of the pause becomes the first pad.
    """
    edges = np.concatenate([[0], np.cumsum(rendering.frames)])
    # The pad before the text is symbol 0, so the lead-in's last symbol, its space, has its own length.
    space = len(lead)
    expected = (edges[space] + edges[space + 1]) / 2 - _LAG_FRAMES
    first, last = (max(0, round(expected + offset)) for offset in _SEARCHED)
    last = min(last, int(edges[space + 1]))
    searched = rendering.samples[first * FRAME_SAMPLES : (last + 1) * FRAME_SAMPLES]
    power = np.square(
        searched[: len(searched) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    ).mean(axis=1)
    cut = first + int(power.argmin())
    frames = rendering.frames[space:].copy()
    frames[0] = edges[space + 1] - cut
    return replace(rendering, samples=rendering.samples[cut * FRAME_SAMPLES :], frames=frames)
