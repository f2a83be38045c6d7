"""A loaded Moonshine checkpoint: passes over live speech and over stretches of recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from kani.engines.moonshine.checkpoint import Weights, read_sizes, read_tokenizer
from kani.engines.moonshine.decoder import Decoder
from kani.engines.moonshine.decoding_loop import Answer, DecodingLoop, Pass, StreamState
from kani.engines.moonshine.encoder import Encoder
from kani.engines.moonshine.words import timed_words
from kani.runtime.errors import CheckpointError
from kani.runtime.recognition.local_agreement import words_from_tokens
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, PassInput, PassResult, TimedWord
from kani.runtime.voice_detector import SAMPLE_RATE

# Twice what Moonshine's makers allow for English: an answer with more of them repeats itself without end.
_TOKENS_PER_SECOND, _EXTRA_TOKENS = 13, 12
# Begins a piece of the tokenizer that follows a space.
_SPACE = "▁"


class Moonshine:
    """The networks and the tokenizer of one checkpoint. Thread-safe."""

    def __init__(self, folder: Path, precision: torch.dtype, language: str) -> None:
        """Load a checkpoint. precision: as of ``Weights``; language: primary subtag of what it recognises.

        Raises CheckpointError, naming the file and the entry.
        """
        encoder_sizes, decoder_sizes = read_sizes(folder)
        self._tokenizer = read_tokenizer(folder)
        if self._tokenizer.get_vocab_size() > decoder_sizes.vocabulary:
            raise CheckpointError(
                f"{folder.name}: tokenizer.json has {self._tokenizer.get_vocab_size()} tokens, "
                f"config.json's vocab_size is {decoder_sizes.vocabulary}"
            )
        weights = Weights.of_folder(folder, precision)
        encoder = Encoder(weights, encoder_sizes)
        self._loop = DecodingLoop(encoder, Decoder(weights, decoder_sizes, encoder_sizes.width))
        self._language = language

    def stop(self) -> None:
        """Return when no pass is running."""
        self._loop.stop()

    def stream(self) -> StreamState:
        """Return the state of a new stream."""
        return self._loop.stream()

    def text_of(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``, with the space that it may begin with."""
        text = str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))
        # The decoder of such a tokenizer takes the first space away.
        piece = self._tokenizer.id_to_token(tokens[0]) if tokens else None
        spaced = piece is not None and piece.startswith(_SPACE) and not text.startswith(" ")
        return f" {text}" if spaced else text

    def transcribe(self, stream: StreamState, stopped: Callable[[], bool], audio: PassInput) -> PassResult:
        """Recognise the words in ``audio`` after its prefix; blocks. Raises RuntimeError."""
        seconds = len(audio.samples) / SAMPLE_RATE
        most = max(int(_TOKENS_PER_SECOND * seconds) - len(audio.prefix), 0) + _EXTRA_TOKENS
        answer = self._loop.run(Pass(stream, audio.samples, audio.start, audio.prefix, most, stopped))
        words = self._words(answer, len(audio.prefix)) if answer.ended else ()
        return PassResult(words, self._language, 1.0, has_speech=answer.ended)

    def transcribe_chunk(self, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
        """Transcribe a stretch of a recording; blocks. Nothing for an answer without end."""
        chunk = audio.chunk
        most = int(_TOKENS_PER_SECOND * chunk.duration_s) + _EXTRA_TOKENS
        answer = self._loop.run(Pass(self.stream(), chunk.samples, 0, (), most, stopped))
        if not answer.ended:
            return []
        mean = sum(answer.log_probabilities) / max(len(answer.log_probabilities), 1)
        words = self._words(answer, 0)
        return [ChunkResult(chunk, words, self._language, 1.0, 0.0, mean, has_speech=True)]

    def _words(self, answer: Answer, first: int) -> tuple[TimedWord, ...]:
        words = words_from_tokens(answer.tokens, self.text_of, spaced=True)
        return timed_words(words, first, answer.attention, answer.log_probabilities)
