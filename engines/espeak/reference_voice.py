"""espeak-ng as the reference voice of forced alignment: any text, with times of its words and phonemes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from engines.espeak.client import DEFAULT_RATE, EspeakClient, Pcm16, PhonemeEvent, WordEvent
from engines.espeak.engine import SPEED_RANGE, default_voice_names
from engines.espeak.word_groups import WordGroup, WordGrouper
from speech.errors import UnsupportedLanguage
from speech.text.languages import primary
from speech.timing.reference_voice import ReferenceSpeech, ReferenceWord


class EspeakReferenceVoice:
    """``speech.timing.reference_voice.Renderer`` by espeak-ng: to be compared with, never heard."""

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        """See ``Renderer.render``; a thousandth of the audio's length, in a thread."""
        return await asyncio.to_thread(_render, text, language, speed)


def _render(text: str, language: str, speed: float) -> ReferenceSpeech:
    library = EspeakClient.shared()
    voices = default_voice_names(library.voices)
    voice = voices.get(primary(language))
    if voice is None:
        raise UnsupportedLanguage(language, ", ".join(voices))
    grouping = WordGrouper(text)
    groups: list[WordGroup] = []
    pieces: list[Pcm16] = []

    def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
        pieces.append(pcm)
        groups.extend(grouping.feed(words, phonemes))

    slowest, fastest = SPEED_RANGE
    rate = round(DEFAULT_RATE * min(max(speed, slowest), fastest))
    library.synthesize(text, voice, on_audio, rate=rate)
    pcm = np.concatenate([np.zeros(0, np.int16), *pieces])
    groups.extend(grouping.finish(len(pcm)))
    words = tuple(word for group in groups for word in _words(group))
    return ReferenceSpeech(pcm.astype(np.float32) / np.float32(32768), library.sample_rate, words)


def _words(group: WordGroup) -> list[ReferenceWord]:
    shares = group.phonemes_by_word()
    if shares is None:
        length = group.end_sample - group.start_sample
        whole = sum(group.letter_counts) or 1
        ends = [
            group.start_sample + round(at / whole * length) for at in np.cumsum([0, *group.letter_counts])
        ]
        return [
            ReferenceWord(*word, first, (first,))
            for word, (first, _) in zip(group.words, pairwise(ends), strict=True)
        ]
    begins = [group.start_sample, *(share[0] for share in shares[1:])]
    return [
        ReferenceWord(*word, begin, share)
        for word, begin, share in zip(group.words, begins, shares, strict=True)
    ]
