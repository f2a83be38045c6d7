"""Answers with a file, or with the part of it that the client's player wants (RFC 9110, 14)."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from io import BytesIO
from typing import IO

from starlette.requests import Request
from starlette.responses import Response

from kani.protocols.shared.streamed_answer import StreamedAnswer, file_blocks

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)


def bytes_answer(request: Request, content: bytes, headers: Mapping[str, str], media_type: str) -> Response:
    """Return the answer to a GET or HEAD with a file in memory."""
    tag = hashlib.sha256(content).hexdigest()[:32]
    return _answer(request, BytesIO(content), tag, headers, media_type, AsyncExitStack())


def file_answer(
    request: Request, file: IO[bytes], headers: Mapping[str, str], media_type: str, stack: AsyncExitStack
) -> Response:
    """Return the answer to a GET or HEAD with an open file of the disk.

    stack: holds what is freed once it is sent, the file as well.
    """
    status = os.fstat(file.fileno())
    tag = f"{status.st_mtime_ns:x}-{status.st_size:x}"
    return _answer(request, file, tag, headers, media_type, stack)


def _answer(
    request: Request,
    file: IO[bytes],
    tag: str,
    headers: Mapping[str, str],
    media_type: str,
    stack: AsyncExitStack,
) -> Response:
    """Answer; tag: what changes with the content."""
    size = file.seek(0, os.SEEK_END)
    told = {**headers, "accept-ranges": "bytes", "etag": f'"{tag}"'}
    wanted = None
    if request.method == "GET" and request.headers.get("if-range", told["etag"]) == told["etag"]:
        wanted = part(request.headers.get("range", ""), size)
    sent, status = range(size) if wanted is None else wanted, 200
    if wanted is not None:
        status = 206 if wanted else 416
        told["content-range"] = (
            f"bytes {wanted.start}-{wanted.stop - 1}/{size}" if wanted else f"bytes */{size}"
        )
    told["content-length"] = str(len(sent))
    file.seek(sent.start)
    blocks = file_blocks(file, 0 if request.method == "HEAD" else len(sent))
    return StreamedAnswer(
        blocks, headers=told, media_type=media_type, stack=stack.pop_all(), status_code=status
    )


def part(header: str, size: int) -> range | None:
    """Return the bytes that a Range header asks for, of ``size``; empty if there are none of them.

    None for the whole: without a range, with another unit, a faulty one, and several, which no player needs.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    first = int(found[1])
    last = int(found[2]) if found[2] else max(first, size)
    return None if last < first else range(min(first, size), min(last + 1, size))
