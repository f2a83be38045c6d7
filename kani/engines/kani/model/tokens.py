"""The tokens of a Kani checkpoint: special ones, codes, and the prompt around a text.

Source: the makers' published code (PyPI kani-tts 1.0.1, ``core.py``). With ``T`` text tokens, the special
ones follow at ``T + 1`` to ``T + 7`` and the audio tokens at ``T + 10``: code ``c`` of codebook ``k`` is
token ``T + 10 + k · codebook_size + c``. A frame is one code of each codebook, in turn; speech is frames
between start_of_speech and end_of_speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kani.runtime.errors import CheckpointError

START_OF_TEXT = 1
END_OF_TEXT = 2
_RESERVED = 10


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """Positions of special and audio tokens in the vocabulary."""

    text_vocabulary: int  # number of text tokens ``T``
    codebooks: int  # codes of a frame
    codebook_size: int  # a code is 0 to codebook_size − 1

    @classmethod
    def of_vocabulary(cls, size: int, *, codebooks: int, codebook_size: int) -> TokenLayout:
        """The layout of a vocabulary of ``size`` tokens that ends with the audio tokens.

        Raises CheckpointError if not even one text token would be left.
        """
        text = size - _RESERVED - codebooks * codebook_size
        if text <= END_OF_TEXT:
            raise CheckpointError(
                f"vocab_size is {size}: too small for {codebooks} codebooks of {codebook_size} codes"
            )
        return cls(text, codebooks, codebook_size)

    @property
    def start_of_speech(self) -> int:
        """Opens the frames."""
        return self.text_vocabulary + 1

    @property
    def end_of_speech(self) -> int:
        """Replaces a frame's first code: no frame follows."""
        return self.text_vocabulary + 2

    @property
    def audio_start(self) -> int:
        """The token of code 0 of codebook 0."""
        return self.text_vocabulary + _RESERVED

    @property
    def size(self) -> int:
        """The smallest vocabulary that holds this layout."""
        return self.audio_start + self.codebooks * self.codebook_size

    def codebook_range(self, codebook: int) -> tuple[int, int]:
        """First token of ``codebook`` and the one after its last."""
        start = self.audio_start + codebook * self.codebook_size
        return start, start + self.codebook_size

    def prompt(self, text: Sequence[int]) -> list[int]:
        """The prompt for a text's tokens (with start_of_text, as the tokenizer returns them).

        It ends with start_of_ai and start_of_speech, which the model would have to emit anyway before its
        first frame: this saves two steps.
        """
        start_of_human, end_of_human, start_of_ai = (self.text_vocabulary + at for at in (3, 4, 5))
        return [start_of_human, *text, END_OF_TEXT, end_of_human, start_of_ai, self.start_of_speech]
