"""Refinement of a placement: synthesises mixes, measures them and corrects the next one."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from kani.core.types import Embedding, Recording, Segment, Similarity
from kani.engines.kokoro.cloning.pitch import PitchProfile
from kani.engines.kokoro.cloning.placement import MeasuredSpeaker, VoicePlacer
from kani.engines.kokoro.cloning.voice_embedding import mix_from_embedding, replace_mix
from kani.engines.kokoro.cloning.weight_solver import WeightSearch
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE, Stop
from kani.engines.kokoro.pitch_control import SEMITONE
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import Utterance, split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.voices import MAX_PITCH_SHIFT, VoiceMix, Voices
from kani_text.languages import primary

MAX_SYNTHESES = 5
"""Mixes synthesised at most, the placed one included; the nearest single voice comes on top."""

# Spoken by every mix: about five seconds, not among what the surrogate was fitted on.
_TEST_SENTENCES: Mapping[str, str] = {
    "es": "Ayer por la tarde paseamos junto al río, y hablamos de los viejos amigos del barrio.",
    "en": "Yesterday afternoon we walked along the river, and talked about old friends from our street.",
    "fr": "Hier après-midi, nous avons marché le long du fleuve, en parlant de nos vieux amis.",
    "it": "Ieri pomeriggio abbiamo camminato lungo il fiume, parlando dei vecchi amici del quartiere.",
    "pt": "Ontem à tarde andamos pela beira do rio, falando dos velhos amigos do nosso bairro.",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    mix: VoiceMix
    measured: MeasuredSpeaker
    similarity: float  # cosine to the recording's embedding


class Refiner:
    """Refines placements; thread-safe."""

    def __init__(self, placer: VoicePlacer, synthesizer: WindowedSynthesizer, voices: Voices) -> None:
        self._placer = placer
        self._synthesizer = synthesizer
        self._voices = voices

    def refine(
        self, recording: Recording, embedding: Embedding, language: str, reader: TextReader, stop: Stop
    ) -> Generator[Embedding | None, None, None]:
        """Yield improved embeddings for a language (BCP 47), and None after every step (one window).

        The first is that of the placement or, if it measures nearer, of the single voice. Raises
        InvalidRequest, Stopped and ModelFailed.
        """
        spoken = primary(language)
        placed = mix_from_embedding(embedding, spoken, self._voices)
        target = yield from self._placer.measure(recording)
        (utterance,) = split_utterances(_TEST_SENTENCES[spoken], reader)

        def with_mix(mix: VoiceMix, before: float, now: float) -> Embedding:
            similarity = Similarity(before, now, measured=True)
            return replace_mix(embedding, spoken, mix, similarity, self._voices)

        def try_mix(mix: VoiceMix) -> Generator[None, None, _Trial]:
            segment = Segment("", mix.prosody_voice, language, embedding=with_mix(mix, 0.0, 0.0))
            measured = yield from self._synthesize_and_measure(segment, utterance, stop)
            return _Trial(mix, measured, float(measured.embedding @ target.embedding))

        best = single = yield from try_mix(VoiceMix.from_voice(self._placer.nearest_single(target, spoken)))
        if placed != single.mix:
            first = yield from try_mix(placed)
            best = max(single, first, key=lambda one: one.similarity)
        yield with_mix(best.mix, single.similarity, best.similarity)
        table = self._placer.mix_table(spoken, best.mix)
        search = WeightSearch(
            table, target.embedding, self._placer.weights_from_mix(best.mix), best.measured.embedding
        )
        for _ in range(MAX_SYNTHESES - 1):
            weights = search.propose()
            mix = replace(
                _corrected_pitch(best, target.pitch), timbre=self._placer.timbre_from_weights(weights)
            )
            one = yield from try_mix(mix)
            if search.observe(weights, one.measured.embedding):
                best = one
                yield with_mix(best.mix, single.similarity, best.similarity)

    def _synthesize_and_measure(
        self, segment: Segment, utterance: Utterance, stop: Stop
    ) -> Generator[None, None, MeasuredSpeaker]:
        pieces = []
        for piece in self._synthesizer.synthesize(utterance, segment, stop, in_steps=False):
            pieces.append(piece.samples)
            yield
        return (yield from self._placer.measure(Recording(np.concatenate(pieces), SAMPLE_RATE)))


def _corrected_pitch(best: _Trial, target: PitchProfile | None) -> VoiceMix:
    if target is None or best.measured.pitch is None:
        return best.mix
    off = (target.log_f0 - best.measured.pitch.log_f0) / SEMITONE
    return replace(best.mix, pitch=float(np.clip(best.mix.pitch + off, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT)))
