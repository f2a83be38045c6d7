"""The recordings that a voice is made of, and the one that is kept of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speech.audio.pcm import MAX_RECORDING_S, decode_recording, wav
from speech.errors import InvalidRequest
from speech.types import Samples

JOINED_RATE = 48_000
"""Hertz of recordings that were joined: what any voice has of use to an encoder is below half of it."""


def join_recordings(files: Sequence[bytes]) -> tuple[bytes, bool]:
    """The recording that is kept of ``files``, at least one, and whether all of them is in it.

    One file stays as it came. Several are joined in their order, as WAV of ``JOINED_RATE`` hertz, until there
    are 60 s; what comes behind is left out. Blocks (about 0.1 s for a minute): call it in a thread. Raises
    InvalidRequest for ``files``.
    """
    if len(files) == 1:
        return files[0], True
    longest = round(MAX_RECORDING_S * JOINED_RATE)
    pieces: list[Samples] = []
    count = 0
    for index, file in enumerate(files):
        try:
            piece = decode_recording(file, truncate=True, sample_rate=JOINED_RATE)
        except InvalidRequest as error:
            raise InvalidRequest("files", f"number {index + 1} {error.reason}") from error
        pieces.append(piece.samples)
        count += len(piece.samples)
        if count >= longest:
            break
    whole = len(pieces) == len(files) and count <= longest
    return wav(np.concatenate(pieces)[:longest], JOINED_RATE), whole
