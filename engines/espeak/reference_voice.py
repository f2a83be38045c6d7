"""espeak-ng as the reference voice of forced alignment: any text, with times of its words and phonemes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from engines.espeak.client import NORMAL_RATE, EspeakLibrary, Pcm16, PhonemeEvent, WordEvent
from engines.espeak.engine import SPEED_RANGE, default_voices
from engines.espeak.word_groups import Group, Grouping
from speech.errors import UnsupportedLanguage
from speech.text.languages import primary
from speech.timing.reference_voice import Rendered, RenderedWord


class EspeakRenderer:
    """``speech.timing.reference_voice.Renderer`` by espeak-ng: to be compared with, never heard."""

    async def render(self, text: str, language: str, speed: float) -> Rendered:
        """See ``Renderer.render``; a thousandth of the audio's length, in a thread."""
        return await asyncio.to_thread(_render, text, language, speed)


def _render(text: str, language: str, speed: float) -> Rendered:
    library = EspeakLibrary.shared()
    voices = default_voices(library.voices)
    voice = voices.get(primary(language))
    if voice is None:
        raise UnsupportedLanguage(language, ", ".join(voices))
    grouping = Grouping(text)
    groups: list[Group] = []
    pieces: list[Pcm16] = []

    def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
        pieces.append(pcm)
        groups.extend(grouping.feed(words, phonemes))

    slowest, fastest = SPEED_RANGE
    rate = round(NORMAL_RATE * min(max(speed, slowest), fastest))
    library.synthesize(text, voice, on_audio, rate=rate)
    pcm = np.concatenate([np.zeros(0, np.int16), *pieces])
    groups.extend(grouping.finish(len(pcm)))
    words = tuple(word for group in groups for word in _words(group))
    return Rendered(pcm.astype(np.float32) / np.float32(32768), library.sample_rate, words)


def _words(group: Group) -> list[RenderedWord]:
    shares = group.shares()
    if shares is None:
        length = group.end_sample - group.start_sample
        whole = sum(group.weights) or 1
        ends = [group.start_sample + round(at / whole * length) for at in np.cumsum([0, *group.weights])]
        return [
            RenderedWord(*word, first, (first,))
            for word, (first, _) in zip(group.words, pairwise(ends), strict=True)
        ]
    begins = [group.start_sample, *(share[0] for share in shares[1:])]
    return [
        RenderedWord(*word, begin, share)
        for word, begin, share in zip(group.words, begins, shares, strict=True)
    ]
