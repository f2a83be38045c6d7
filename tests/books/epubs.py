"""Makes EPUB files, good ones and hostile ones."""

import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CONTAINER = """<?xml version="1.0"?><container version="1.0"
xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""

PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>La casa &amp; el río</dc:title>
<dc:creator>Ana Ruiz</dc:creator><dc:creator>Bo Li</dc:creator><dc:language>es</dc:language></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="img" href="cover.png" media-type="image/png" properties="cover-image"/></manifest>
<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/></spine></package>"""

NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="landmarks"><a href="text/one.xhtml">Cover</a></nav>
<nav epub:type="toc"><ol><li><a href="text/one.xhtml">Uno</a><ol><li><a href="text/one.xhtml#b">Dos</a>
</li></ol></li><li><a href="text/two%20b.xhtml">Tres</a></li></ol></nav></body></html>"""

ONE = """<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>
<title>x</title><style>p {}</style><script/></head><body><h1>Capítulo<br/>uno</h1><p>El perro <i>duerme</i>
en la casa.</p><h2 id="b">Capítulo dos</h2><p>La niña come&#160;pan.</p></body></html>"""

TWO = "<html><body><p>El tren sale tarde.</p></body></html>"


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff\0\0" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """Return a grey picture, by FFmpeg's encoder."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 99, np.uint8), format="rgb24")
    packets = [*encoder.encode(frame.reformat(format="yuvj420p")), *encoder.encode(None)]
    return b"".join(map(bytes, packets))


COVER = png(8, 6)
FILES: dict[str, str | bytes] = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/nav.xhtml": NAV,
    "OEBPS/text/one.xhtml": ONE,
    "OEBPS/text/two b.xhtml": TWO,
    "OEBPS/cover.png": COVER,
}


def epub(path: Path, changes: dict[str, str | bytes | None] | None = None) -> Path:
    """Write a good book with ``changes`` to its files (None: the file is left out)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (FILES | (changes or {})).items():
            if data is not None:
                archive.writestr(name, data)
    return path


def many_files(path: Path, count: int) -> Path:
    """Write an archive with a directory that lists ``count`` empty files."""
    entry = struct.Struct("<4s6H3L5H2L")
    listed = b"".join(
        entry.pack(b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0) + b"%06d" % number
        for number in range(count)
    )
    most = min(count, 0xFFFF)
    path.write_bytes(listed + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, most, most, len(listed), 0, 0))
    return path
