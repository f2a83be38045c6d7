"""Audio and events of a text, synthesised by an espeak-ng client."""

from collections.abc import Sequence

import numpy as np

from kani.engines.espeak.client import EspeakClient, Pcm16
from kani.engines.espeak.native import PhonemeEvent, SynthesisParameters, WordEvent


def synthesized(
    client: EspeakClient, text: str, voice: str = "es", rate: int = 175
) -> tuple[Pcm16, list[WordEvent], list[PhonemeEvent]]:
    pieces = [np.zeros(0, np.int16)]
    events: tuple[list[WordEvent], list[PhonemeEvent]] = ([], [])

    def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
        pieces.append(pcm)
        events[0].extend(words)
        events[1].extend(phonemes)

    assert client.synthesize(text, voice, on_audio, SynthesisParameters(rate))
    return np.concatenate(pieces), *events


def audio(client: EspeakClient, text: str, voice: str = "es", rate: int = 175) -> Pcm16:
    return synthesized(client, text, voice, rate)[0]


def ipa_of(client: EspeakClient, text: str, voice: str, tie: str | None = None) -> str:
    (ipa,) = client.phonemize_all((text,), voice, tie)
    return ipa
