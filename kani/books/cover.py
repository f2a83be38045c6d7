"""Tells the kind and the size of a cover picture, without decoding it."""

import struct

from kani.books.book import Image

MAX_BYTES = 8 << 20
_MAX_SIDE = 10_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers; C4, C8 and CC are others.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def read_cover(data: bytes) -> Image | None:
    """Return a cover; None for what is no PNG or JPEG of 10,000 pixels a side at most."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) > 24:
        codec, (width, height) = "png", struct.unpack(">II", data[16:24])
    elif data.startswith(_JPEG) and (size := _jpeg_size(data)):
        codec, (width, height) = "mjpeg", size
    else:
        return None
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        return None
    return Image(data, codec, width, height)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # filling
            at += 1
            continue
        if data[at + 1] in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
