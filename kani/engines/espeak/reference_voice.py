"""espeak-ng as the reference voice of forced alignment: speaks any text, and times its words and phonemes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kani.core.audio.pcm import from_pcm16
from kani.core.errors import UnsupportedLanguage
from kani.core.timing.reference_voice import ReferenceSpeech, ReferenceWord
from kani.engines.espeak.client import EspeakClient, Pcm16
from kani.engines.espeak.engine import SPEED_RANGE, default_voice_names
from kani.engines.espeak.native import DEFAULT_RATE, PhonemeEvent, SynthesisParameters, WordEvent
from kani.engines.espeak.words import WordGroup, WordGrouper
from kani_text.languages import primary


class EspeakReferenceVoice:
    """``kani.core.timing.reference_voice.ReferenceVoice`` by espeak-ng. Its audio is never played."""

    async def languages(self) -> frozenset[str]:
        """See ``ReferenceVoice.languages``."""
        return await asyncio.to_thread(lambda: frozenset(default_voice_names(EspeakClient.shared().voices)))

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        """See ``ReferenceVoice.render``; takes a thousandth of the audio's length, in a thread."""
        return await asyncio.to_thread(_render, text, language, speed)


def _render(text: str, language: str, speed: float) -> ReferenceSpeech:
    client = EspeakClient.shared()
    voices = default_voice_names(client.voices)
    voice = voices.get(primary(language))
    if voice is None:
        raise UnsupportedLanguage(language, ", ".join(voices))
    grouper = WordGrouper(text)
    groups: list[WordGroup] = []
    pieces: list[Pcm16] = []

    def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
        pieces.append(pcm)
        groups.extend(grouper.feed(words, phonemes))

    slowest, fastest = SPEED_RANGE
    rate = round(DEFAULT_RATE * min(max(speed, slowest), fastest))
    client.synthesize(text, voice, on_audio, SynthesisParameters(rate))
    pcm = np.concatenate([np.zeros(0, np.int16), *pieces])
    groups.extend(grouper.finish(len(pcm)))
    words = tuple(word for group in groups for word in _words(group))
    return ReferenceSpeech(from_pcm16(pcm), client.sample_rate, words)


def _words(group: WordGroup) -> list[ReferenceWord]:
    """Return the words of a group; without enough phonemes they share its time by their letters."""
    phonemes_by_word = group.phonemes_by_word()
    if phonemes_by_word is None:
        length = group.end_sample - group.start_sample
        whole = sum(group.letter_counts) or 1
        ends = [
            group.start_sample + round(at / whole * length) for at in np.cumsum([0, *group.letter_counts])
        ]
        return [
            ReferenceWord(*word, first, (first,))
            for word, (first, _) in zip(group.words, pairwise(ends), strict=True)
        ]
    starts = [group.start_sample, *(phonemes[0] for phonemes in phonemes_by_word[1:])]
    return [
        ReferenceWord(*word, start, phonemes)
        for word, start, phonemes in zip(group.words, starts, phonemes_by_word, strict=True)
    ]
