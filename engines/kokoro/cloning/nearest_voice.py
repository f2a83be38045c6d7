"""Kokoro near a recording's voice: what its engine asks, when it clones as far as its own voices allow."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engines.kokoro.cloning.placement import VoicePlacer
from engines.kokoro.cloning.refinement import Refiner
from engines.kokoro.cloning.surrogate import Surrogate
from engines.kokoro.network.onnx_model import Stop
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.text.espeak_ipa import Phonemizer
from engines.kokoro.voice_embedding import LANGUAGES, embedding_from_mixes
from engines.kokoro.voices import Voices
from engines.speaker_encoder.encoder import SpeakerEncoder
from speech.types import Embedding, Recording


class NearestVoice:
    """Makes embeddings; a piece of work a step, so that others' speech comes between. For any thread.

    Each iterator gives None after a step that has found nothing yet.
    """

    def __init__(
        self, voices: Voices, speaker: WindowedSynthesizer, excluded: Collection[str] = frozenset()
    ) -> None:
        """without: voices that nobody is made of. Raises EngineUnavailable for a missing data file."""
        self._voices = voices
        surrogate = Surrogate([voice.id for voice in voices.all])
        self._placer = VoicePlacer(voices, surrogate, SpeakerEncoder(), excluded)
        self._refiner = Refiner(self._placer, speaker, voices)

    def embed(self, recording: Recording) -> Iterator[Embedding | None]:
        """The embedding of a recording for all languages, at last. Raises InvalidRequest."""
        hearing = self._placer.measure(recording)
        speaker = yield from hearing
        placed = {}
        for language in LANGUAGES:
            placed[language] = self._placer.place(speaker, language)
            yield None
        yield embedding_from_mixes(
            {language: one.mix for language, one in placed.items()},
            {language: one.similarity for language, one in placed.items()},
            self._voices,
        )

    def refine(
        self, recording: Recording, embedding: Embedding, language: str, say: Phonemizer, stop: Stop
    ) -> Iterator[Embedding | None]:
        """Ever better ones for a language (BCP 47), as ``Refiner.refine``."""
        return self._refiner.refine(recording, embedding, language, say, stop)
