"""Refinement of a placement: synthesises mixes, measures them and corrects the next one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engines.kokoro.cloning.pitch import PitchProfile
from engines.kokoro.cloning.placement import SEMITONE, MeasuredSpeaker, VoicePlacer
from engines.kokoro.cloning.weight_solver import WeightSearch
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.text.espeak_ipa import Phonemizer
from engines.kokoro.text.phonemes import Utterance, split_utterances
from engines.kokoro.voice_embedding import mix_from_embedding, replace_mix
from engines.kokoro.voice_mix import MAX_PITCH_SHIFT, VoiceMix
from engines.kokoro.voices import Voices
from speech.text.languages import primary
from speech.types import Embedding, Recording, Segment, Similarity

MAX_SYNTHESES = 5
"""Mixes synthesised at most, the placed one included; the nearest single voice comes on top."""

# Spoken by every mix: about five seconds, none of which the surrogate was fitted on.
_SAID: Mapping[str, str] = {
    "es": "Ayer por la tarde paseamos junto al río, y hablamos de los viejos amigos del barrio.",
    "en": "Yesterday afternoon we walked along the river, and talked about old friends from our street.",
    "fr": "Hier après-midi, nous avons marché le long du fleuve, en parlant de nos vieux amis.",
    "it": "Ieri pomeriggio abbiamo camminato lungo il fiume, parlando dei vecchi amici del quartiere.",
    "pt": "Ontem à tarde andamos pela beira do rio, falando dos velhos amigos do nosso bairro.",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A mix that was synthesised and measured."""

    mix: VoiceMix
    heard: MeasuredSpeaker
    likeness: float


class Refiner:
    """Refines placements; thread-safe."""

    def __init__(self, placer: VoicePlacer, speaker: WindowedSynthesizer, voices: Voices) -> None:
        self._placer = placer
        self._speaker = speaker
        self._voices = voices

    def refine(
        self, recording: Recording, embedding: Embedding, language: str, say: Phonemizer, stop: Stop
    ) -> Generator[Embedding | None, None, None]:
        """Yield improved embeddings for a language (BCP 47), and None after every step (one window).

        The first is that of the placement or, if it measures nearer, of the single voice. Raises
        InvalidRequest, Stopped and ModelFailed.
        """
        spoken = primary(language)
        placed = mix_from_embedding(embedding, spoken, self._voices)
        wanted = yield from self._placer.measure(recording)
        (utterance,) = split_utterances(_SAID[spoken], say)

        def with_(mix: VoiceMix, before: float, now: float) -> Embedding:
            similarity = Similarity(before, now, measured=True)
            return replace_mix(embedding, spoken, mix, similarity, self._voices)

        def tried(mix: VoiceMix) -> Generator[None, None, _Tried]:
            segment = Segment("", mix.prosody_voice, language, embedding=with_(mix, 0.0, 0.0))
            heard = yield from self._heard(segment, utterance, stop)
            return _Tried(mix, heard, float(heard.embedding @ wanted.embedding))

        best = single = yield from tried(VoiceMix.from_voice(self._placer.nearest_single(wanted, spoken)))
        if placed != single.mix:
            first = yield from tried(placed)
            best = max(single, first, key=lambda one: one.likeness)
        yield with_(best.mix, single.likeness, best.likeness)
        table = self._placer.mix_table(spoken, self._placer.mix_log_f0(best.mix))
        search = WeightSearch(
            table, wanted.embedding, self._placer.weights_from_mix(best.mix), best.heard.embedding
        )
        for _ in range(MAX_SYNTHESES - 1):
            weights = search.propose()
            mix = replace(_tuned(best, wanted.pitch), timbre=self._placer.timbre_from_weights(weights))
            one = yield from tried(mix)
            if search.observe(weights, one.heard.embedding):
                best = one
                yield with_(best.mix, single.likeness, best.likeness)

    def _heard(
        self, segment: Segment, utterance: Utterance, stop: Stop
    ) -> Generator[None, None, MeasuredSpeaker]:
        """Synthesise the utterance with the segment's voice and measure the result."""
        pieces = []
        for piece in self._speaker.synthesize(utterance, segment, stop):
            pieces.append(piece.samples)
            yield
        return (yield from self._placer.measure(Recording(np.concatenate(pieces), SAMPLE_RATE)))


def _tuned(best: _Tried, wanted: PitchProfile | None) -> VoiceMix:
    """Correct the pitch shift of the best mix by the measured error of its F0."""
    if wanted is None or best.heard.pitch is None:
        return best.mix
    off = (wanted.log_f0 - best.heard.pitch.log_f0) / SEMITONE
    return replace(best.mix, pitch=float(np.clip(best.mix.pitch + off, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT)))
