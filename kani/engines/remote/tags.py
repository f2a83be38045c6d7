"""Tags of the messages after a handshake with a key: a side notices what its peer has not sent.

A tag is HMAC-SHA256 (RFC 2104) over the number of messages before and the message, cut to 16 bytes. Each
direction has a key of its own, made of both nonces, so a message of another connection or of the other
direction, a repeated, dropped or moved one has a wrong tag.
"""

from __future__ import annotations

import hmac

TAG_BYTES = 16


class Tags:
    """The tags of one direction of a connection, in the order of its messages."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")
        self._messages = 0

    def next(self, message: bytes | memoryview) -> bytes:
        digest = self._keyed.copy()
        digest.update(self._messages.to_bytes(8, "big"))
        digest.update(message)
        self._messages += 1
        return digest.digest()[:TAG_BYTES]

    def accepts(self, message: memoryview, tag: memoryview) -> bool:
        return hmac.compare_digest(self.next(message), tag)
