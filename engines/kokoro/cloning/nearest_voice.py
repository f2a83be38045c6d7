"""Entry point of cloning: embeds recordings and refines the embeddings."""

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
    """Computes embeddings in short steps, so that running speech can be scheduled between them. Thread-safe.

    The iterators yield None after a step without a result.
    """

    def __init__(
        self, voices: Voices, speaker: WindowedSynthesizer, excluded: Collection[str] = frozenset()
    ) -> None:
        """excluded: voices that are used in no mix. Raises EngineUnavailable for a missing data file."""
        self._voices = voices
        surrogate = Surrogate([voice.id for voice in voices.all])
        self._placer = VoicePlacer(voices, surrogate, SpeakerEncoder(), excluded)
        self._refiner = Refiner(self._placer, speaker, voices)

    def embed(self, recording: Recording) -> Iterator[Embedding | None]:
        """Embed a recording for all languages; the last item is the embedding. Raises InvalidRequest."""
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
        """Yield improved embeddings for a language (BCP 47); see ``Refiner.refine``."""
        return self._refiner.refine(recording, embedding, language, say, stop)
