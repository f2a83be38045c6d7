"""Entry point of cloning: embeds recordings and refines the embeddings."""

from __future__ import annotations

from collections.abc import Iterator

from kani.core.types import Embedding, Recording
from kani.engines.kokoro.cloning.placement import VoicePlacer
from kani.engines.kokoro.cloning.refinement import Refiner
from kani.engines.kokoro.cloning.surrogate import Surrogate
from kani.engines.kokoro.cloning.voice_embedding import LANGUAGES, embedding_from_mixes
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.voices import Voices
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder


class NearestVoice:
    """Computes embeddings in short steps, so that running speech can be scheduled between them. Thread-safe.

    The iterators yield None after a step without a result.
    """

    def __init__(self, voices: Voices, synthesizer: WindowedSynthesizer) -> None:
        """Raises EngineUnavailable for a missing data file."""
        self._voices = voices
        surrogate = Surrogate([voice.id for voice in voices.mixed])
        self._placer = VoicePlacer(voices, surrogate, SpeakerEncoder())
        self._refiner = Refiner(self._placer, synthesizer, voices)

    def embed(self, recording: Recording) -> Iterator[Embedding | None]:
        """Embed a recording for all languages; the last item is the embedding. Raises InvalidRequest."""
        speaker = yield from self._placer.measure(recording)
        placements = {}
        for language in LANGUAGES:
            placements[language] = self._placer.place(speaker, language)
            yield None
        yield embedding_from_mixes(
            {language: placement.mix for language, placement in placements.items()},
            {language: placement.similarity for language, placement in placements.items()},
            self._voices,
        )

    def refine(
        self, recording: Recording, embedding: Embedding, language: str, reader: TextReader, stop: Stop
    ) -> Iterator[Embedding | None]:
        """Yield improved embeddings for a language (BCP 47); see ``Refiner.refine``."""
        return self._refiner.refine(recording, embedding, language, reader, stop)
