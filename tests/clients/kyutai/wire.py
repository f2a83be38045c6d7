"""Messages of Kyutai's protocol; of the server's ones those of moshi-server, and no other field."""

import struct
from functools import reduce
from operator import or_
from typing import Any

import msgspec
import numpy as np

from kani.core.types import Samples

RATE = 24_000
FRAME = 1920
KEY = {"kyutai-api-key": "public_token"}

pack = msgspec.msgpack.encode

EOS = pack({"type": "Eos"})


def _message(kind: str, **fields: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct(kind, [*fields.items()], tag_field="type", tag=kind, forbid_unknown_fields=True)


_MESSAGES = (
    _message("Ready"),
    _message("Error", message=str),
    _message("Text", text=str, start_s=float, stop_s=float),
    _message("Audio", pcm=list[float]),
    _message("OggOpus", data=list[int]),
    _message("Word", text=str, start_time=float),
    _message("EndWord", stop_time=float),
    _message("Marker", id=int),
    _message("Step", step_idx=int, prs=list[float], buffered_pcm=int),
    _message("Voice", embeddings=list[float], shape=list[int]),
)
_check = msgspec.msgpack.Decoder(reduce(or_, _MESSAGES)).decode


def unpack(message: bytes | str) -> dict[str, Any]:
    """Read a message of the server; Unmute raises for one with a field that is not its own."""
    assert isinstance(message, bytes)
    _check(message)
    read: dict[str, Any] = msgspec.msgpack.decode(message)
    return read


def text_message(words: str) -> bytes:
    return pack({"type": "Text", "text": words})


def audio_message(samples: Samples) -> bytes:
    rows = np.empty(len(samples), [("kind", "u1"), ("value", ">f4")])
    rows["kind"], rows["value"] = 0xCA, samples
    count = len(samples)
    length = b"\xdc" + struct.pack(">H", count) if count < 2**16 else b"\xdd" + struct.pack(">I", count)
    return b"\x82\xa4type\xa5Audio\xa3pcm" + length + rows.tobytes()


def frames_of(samples: Samples) -> list[Samples]:
    """Samples as a microphone gives them: whole frames, the last one filled up with silence."""
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    return [padded[at : at + FRAME] for at in range(0, len(padded), FRAME)]
