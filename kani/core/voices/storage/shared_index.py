"""The index of a bucket as one server sees it: a copy in memory, and changes that no other server's undo."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from kani.core.errors import StoreUnavailable
from kani.core.voices.storage.index import BEING_REMOVED, MAX_INDEX_BYTES, Index
from kani.core.voices.storage.objects import BucketRefused, BucketUnreachable, Conflict, ObjectStore

log = logging.getLogger(__name__)

INDEX, PROBE = "index.json", "probe"
"""Paths of the index, and of the object that conditional writes are tried with."""

START_S = 5.0
"""Longest wait for the bucket when a server starts, in seconds."""

REFRESH_S, MAX_REFRESH_S = 1.0, 10.0
"""Poll interval for changes by other servers, in seconds; the longest one after a long index."""

RESTS = 20
"""Least poll interval, in times that it took to decode a change: nothing else of this process runs then."""

MAX_REMOVAL_PAUSE_S = 60.0
"""Longest pause after a failed removal, in seconds; each failure doubles it, from ``REFRESH_S`` on."""

STALE_S = 30.0
"""Cached entries are not served after this many seconds without a poll, as a voice may have been deleted."""

CHANGE_TIMEOUT_S = 10.0
"""Longest wait for changes of others, in seconds."""

MAX_PAUSE_S = 0.1
"""Longest pause after another server's change, in seconds; they are random, so that two part."""

STOP_S = 1.0
"""Longest wait for the end of a poll, in seconds."""

MAX_TRANSFERS, TRANSFER_WAIT_S = 3, 2.0
"""Transfers at a time, and the longest wait for one: each holds a thread of the server's pool."""

AWAY = "the stored voices cannot be reached at the moment: try again later"
"""Message for clients, which are not to learn where the voices are; the log has the rest."""

UNCONDITIONAL = (
    "the object store of KANI_VOICE_BUCKET ignores the conditions If-None-Match and If-Match of a PUT, so "
    "that servers would undo each other's changes: use another one, or a newer version of it"
)


class SharedIndex:
    """Reads the index from memory, refreshed every second, and changes it by conditional writes.

    Safe for use by several threads; all methods but ``view`` block.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        """Held while the index is read or written: an older state must not come after a newer one."""
        self._transfers = threading.Semaphore(MAX_TRANSFERS)
        self._index = Index()
        self._version: str | None = None
        self._fresh_at: float | None = None
        self._decoding_s = 0.0
        """Time that the last look decoded: 0 if it found no change."""
        self._away = False
        self._conditional = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read the index, and look for changes from now on; a bucket that does not answer is used later.

        Raises StoreUnavailable for an index that cannot be read, and for a bucket that refuses.
        """
        first: Future[None] = Future()
        self._thread = threading.Thread(target=self._watch, args=(first,), name="voice bucket", daemon=True)
        self._thread.start()
        try:
            first.result(START_S)
        except TimeoutError:
            self._lost(BucketUnreachable(f"it does not answer in {START_S:g} s"))
        except (BucketRefused, StoreUnavailable) as error:
            self._stopped.set()
            raise StoreUnavailable(f"the stored voices cannot be read: {error}") from error

    def stop(self) -> None:
        """Look for no changes any more."""
        self._stopped.set()
        if self._thread is not None:
            # A look that hangs ends with the process.
            self._thread.join(STOP_S)

    @property
    def is_fresh(self) -> bool:
        """True if the bucket was read ``STALE_S`` ago or later."""
        return self._fresh_at is not None and time.monotonic() - self._fresh_at <= STALE_S

    def view(self) -> Index:
        """Return the index, at most ``STALE_S`` old. Raises StoreUnavailable where it is older."""
        if not self.is_fresh:
            raise StoreUnavailable(AWAY)
        return self._index

    def refresh(self) -> None:
        """Look for changes now; a failure is logged, and makes further calls fail at once."""
        try:
            with self._lock:
                self._read()
        except (BucketUnreachable, BucketRefused, StoreUnavailable) as error:
            self._lost(error)
            return
        if self._away:
            self._away = False
            log.info("the bucket of the stored voices answers again")

    @contextmanager
    def transfer(self) -> Iterator[ObjectStore]:
        """Reach the bucket while the body runs. Raises StoreUnavailable, at once if it is away."""
        if self._away:
            raise StoreUnavailable(AWAY)
        if not self._transfers.acquire(timeout=TRANSFER_WAIT_S):
            raise StoreUnavailable("too many stored voices are being read or written: try again later")
        try:
            yield self._objects
        except (BucketUnreachable, BucketRefused) as error:
            self._lost(error)
            raise StoreUnavailable(AWAY) from error
        finally:
            self._transfers.release()

    def change(self, change: Callable[[Index], None]) -> Index:
        """Write the index as ``change`` leaves its argument, a copy, if that is changed; returns it.

        change: called again where another server was faster, also with a state that holds its own change
        already, as the answer to a write may be lost. Its errors are raised. Raises StoreUnavailable; the
        change may then have been made.
        """
        deadline = time.monotonic() + CHANGE_TIMEOUT_S
        with self.transfer() as objects, self._alone():
            self._try_conditions(objects)
            while not self._changed(objects, change):
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        "the stored voices are being changed by other servers: try again later"
                    )
                time.sleep(random.uniform(0.0, MAX_PAUSE_S))  # noqa: S311 - no secret
        return self._index

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock while the body runs. Raises StoreUnavailable after ``CHANGE_TIMEOUT_S``."""
        if not self._lock.acquire(timeout=CHANGE_TIMEOUT_S):
            raise StoreUnavailable(AWAY)
        try:
            yield
        finally:
            self._lock.release()

    def _changed(self, objects: ObjectStore, change: Callable[[Index], None]) -> bool:
        """Read, change and write the index; return False if another server has changed it meanwhile."""
        self._read()
        changed = self._index.copy()
        change(changed)
        if changed == self._index:
            return True
        now, content = time.monotonic(), changed.encode()
        if len(content) > MAX_INDEX_BYTES:
            raise StoreUnavailable(
                f"the stored voices need more than {MAX_INDEX_BYTES >> 20} MiB for their names and texts: "
                "delete one first"
            )
        try:
            if self._version is None:
                version = objects.create(INDEX, content)
            else:
                version = objects.replace(INDEX, content, self._version)
        except Conflict:
            return False
        self._accept(Index.decode(content), version, now)
        return True

    def _read(self) -> None:
        """Bring the copy up to date. Raises StoreUnavailable if it is damaged, and as ``ObjectStore``."""
        now = time.monotonic()
        self._decoding_s = 0.0
        try:
            if self._version is None:
                found = self._objects.read(INDEX, MAX_INDEX_BYTES)
            else:
                found = self._objects.read_if_changed(INDEX, self._version, MAX_INDEX_BYTES)
        except FileNotFoundError:
            # The bucket was emptied.
            self._accept(Index(), None, now)
        except ValueError as error:
            raise StoreUnavailable(f"the index of the stored voices is damaged: {error}") from error
        else:
            if found is None:
                self._fresh_at = now
            else:
                began = time.thread_time()
                try:
                    index = Index.decode(found.content)
                finally:
                    self._decoding_s = time.thread_time() - began
                self._accept(index, found.version, now)

    def _accept(self, index: Index, version: str | None, now: float) -> None:
        self._index, self._version, self._fresh_at = index, version, now

    def _try_conditions(self, objects: ObjectStore) -> None:
        """Raise StoreUnavailable if the object store ignores conditions; it is tried once."""
        if self._conditional:
            return
        for write in (
            lambda: objects.create(PROBE, b"1"),
            lambda: objects.replace(PROBE, b"2", '"00000000000000000000000000000000"'),
        ):
            # The first write makes the object unless an earlier server has.
            if not _conflicts(write) and not _conflicts(write):
                raise StoreUnavailable(UNCONDITIONAL)
        self._conditional = True

    def _lost(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            log.warning("the bucket of the stored voices cannot be used: %s", error)

    def _watch(self, first: Future[None]) -> None:
        try:
            with self._lock:
                self._read()
            self._away = False
            first.set_result(None)
        except BucketUnreachable as error:
            self._lost(error)
            first.set_result(None)
        except (BucketRefused, StoreUnavailable) as error:
            self._lost(error)
            first.set_exception(error)
        pause, not_before = REFRESH_S, time.monotonic()
        while not self._stopped.wait(min(max(REFRESH_S, RESTS * self._decoding_s), MAX_REFRESH_S)):
            self.refresh()
            if self._away or time.monotonic() < not_before or not self._index.due(time.time()):
                continue
            # A user without the right to delete would fail each time, and transfers with it.
            pause = REFRESH_S if self._remove_due() else min(2 * pause, MAX_REMOVAL_PAUSE_S)
            not_before = time.monotonic() + pause

    def _remove_due(self) -> bool:
        """Remove the objects that are due; a failure leaves them to the next attempt, and returns False."""
        ids: set[str] = set()

        def claim(index: Index) -> None:
            ids.clear()
            ids.update(index.due(time.time()))
            index.removed |= dict.fromkeys(ids, BEING_REMOVED)

        def forget(index: Index) -> None:
            index.removed = {id_: at for id_, at in index.removed.items() if id_ not in ids}

        try:
            self.change(claim)
            with self.transfer() as objects:
                for id_ in ids:
                    objects.delete_below(folder_of(id_))
            self.change(forget)
        except StoreUnavailable as error:
            log.warning("objects of deleted voices are not removed yet: %s", error)
            return False
        return True


def folder_of(id_: str) -> str:
    """Path below which the objects of a voice or a consent are."""
    return f"voices/{id_}"


def _conflicts(write: Callable[[], str]) -> bool:
    try:
        write()
    except Conflict:
        return True
    return False
