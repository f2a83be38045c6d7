"""Recordings on their way to a bucket and back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import InvalidRequest, StoreUnavailable, UnknownVoice
from kani.core.voices.storage.index import REMOVED_AFTER_S, Index
from kani.core.voices.storage.shared_index import SharedIndex, folder_of


def read_recording(index: SharedIndex, id_: str, file: str, name: str) -> bytes:
    """Read a recording. Raises UnknownVoice for ``name`` where it was deleted."""
    try:
        with index.transfer() as objects:
            found = objects.read(f"{folder_of(id_)}/{file}", MAX_RECORDING_BYTES)
    except ValueError as error:
        raise StoreUnavailable(f"a stored recording is damaged: {error}") from error
    if found is None:
        raise UnknownVoice(name)
    return found.content


def upload(
    index: SharedIndex,
    files: Mapping[str, bytes],
    check: Callable[[Index], None],
    commit: Callable[[Index, str], Index],
) -> None:
    """Write recordings below a new id, and list them.

    check: called before the recordings are written, which may be long; commit: lists the id. Both raise
    InvalidRequest; nothing is left of the recordings then.
    """
    id_ = secrets.token_hex(16)

    def begin(state: Index) -> Index:
        check(state)
        return state if id_ in state.removed else state.removing([id_], time.time() + REMOVED_AFTER_S)

    index.change(begin)
    try:
        with index.transfer() as objects:
            for file, content in files.items():
                objects.write(f"{folder_of(id_)}/{file}", content)
        index.change(lambda state: commit(state, id_))
    except InvalidRequest:
        # They are to be removed as yet: a failure only delays it.
        with suppress(StoreUnavailable), index.transfer() as objects:
            objects.delete_below(folder_of(id_))
        raise
