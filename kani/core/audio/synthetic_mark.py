"""The mark of files and streams that tells programs that their speech is synthetic.

It is IPTC's digital source type. The comment names it too, as most conversions keep only the comment.
"""

import struct
from typing import Final

SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
TAGS: Final = {
    "comment": f"AI-generated speech; DigitalSourceType={SOURCE_TYPE}",
    "DigitalSourceType": SOURCE_TYPE,
}
HEADER: Final = {"x-ai-generated": "true"}
"""Header of an HTTP answer with speech. It is not registered, but others send it."""

_PROGRAM = b"kani-tts"

# One switch for the process, so that no encoder of any protocol is left out.
_on = True


def set_marking(*, on: bool) -> None:
    """Set whether this process marks the speech that it encodes; it does from its start."""
    global _on
    _on = on


def tags() -> dict[str, str]:
    """Return the tags of a file that FFmpeg's muxers write; none if marking is off."""
    return dict(TAGS) if _on else {}


def headers() -> dict[str, str]:
    """Return the headers of an answer with speech; none if marking is off."""
    return dict(HEADER) if _on else {}


def riff_info() -> bytes:
    """Return a chunk for a WAV file, "LIST" of "INFO" (software and comment); b"" if marking is off."""
    if not _on:
        return b""
    entries = b"".join(
        name + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
        for name, text in ((b"ISFT", _PROGRAM + b"\0"), (b"ICMT", TAGS["comment"].encode() + b"\0"))
    )
    return b"LIST" + struct.pack("<I", 4 + len(entries)) + b"INFO" + entries


def id3() -> bytes:
    """Return an ID3v2.4 tag for the start of an MP3 stream; b"" if marking is off."""
    if not _on:
        return b""
    latin1 = b"\0"
    frames = _id3_frame(b"TSSE", latin1 + _PROGRAM)
    frames += _id3_frame(b"TXXX", latin1 + b"DigitalSourceType\0" + SOURCE_TYPE.encode())
    frames += _id3_frame(b"COMM", latin1 + b"eng\0" + TAGS["comment"].encode())
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames


def vorbis_comment() -> bytes:
    """Return the comments of a FLAC or Ogg Opus stream (RFC 9639, 8.6), none if marking is off."""
    comments = [f"{name}={value}".encode() for name, value in tags().items()]
    vendor, *sized = (struct.pack("<I", len(part)) + part for part in (_PROGRAM, *comments))
    return vendor + struct.pack("<I", len(comments)) + b"".join(sized)


def _id3_frame(name: bytes, content: bytes) -> bytes:
    return name + _synchsafe(len(content)) + bytes(2) + content


def _synchsafe(size: int) -> bytes:
    """Return a size in four bytes of seven bits each (ID3v2.4, 6.2)."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
