"""Interface of an object store: S3, or a program that speaks its protocol."""

from dataclasses import dataclass
from typing import Protocol


class Conflict(Exception):
    """Another writer was faster: the object is not the one that was to be replaced, or exists already."""


class BucketUnreachable(Exception):
    """The object store gives no answer; the message says why, without anything secret."""


class BucketRefused(Exception):
    """The object store refuses, or the bucket does not exist; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Object:
    content: bytes
    version: str  # tag of this content, which every change changes


class ObjectStore(Protocol):
    """Objects by path in one bucket, below one prefix.

    All methods block on the network, and raise BucketUnreachable and BucketRefused.
    """

    def read(self, path: str, max_bytes: int) -> Object | None:
        """Read an object; None if there is none. Raises ValueError for one of more than ``max_bytes``."""

    def read_if_changed(self, path: str, version: str, max_bytes: int) -> Object | None:
        """Read an object unless it still has this version. Raises FileNotFoundError, and as ``read``."""

    def create(self, path: str, content: bytes) -> str:
        """Create an object; returns its version. Raises Conflict if there is one of this path."""

    def replace(self, path: str, content: bytes, version: str) -> str:
        """Replace the object of this version; returns the new one. Raises Conflict."""

    def write(self, path: str, content: bytes) -> None:
        """Write an object that no other writer knows."""

    def delete_below(self, folder: str) -> None:
        """Delete every object with a path that begins with ``folder`` and a slash."""
