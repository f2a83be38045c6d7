"""Stored voices in a bucket on a real S3 server: several servers, lost answers, and a bucket that is away."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kani.composition.voices.place import voice_place
from kani.core.errors import NameTaken, StoreUnavailable, UnknownVoice
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Similarity
from kani.core.voices.storage import shared_index
from kani.core.voices.storage.index import Index
from kani.core.voices.storage.objects import Object
from kani.core.voices.storage.shared_index import STALE_S, SharedIndex
from kani.core.voices.store import VoiceStore
from tests.core.voices import local_bucket as local
from tests.core.voices.local_bucket import ACCESS_KEY, SECRET, App, Bucket, Environ, Start, answer, refusing
from tests.core.voices.stored import (
    CHANGES,
    RECORDING,
    SPOKEN,
    add,
    content,
    embedding,
    recording,
    with_a_voice,
)
from tests.support.patience import WITHIN_S, until

EMPTY = {"index.json", "probe"}
"""Objects of a bucket without voices."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr("kani.core.voices.storage.shared_index.REFRESH_S", 0.01)
    with local.local_bucket(monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def stores(bucket: Bucket) -> Iterator[tuple[VoiceStore, VoiceStore]]:
    with bucket.store() as one, bucket.store() as other:
        yield one, other


def index_of(store: VoiceStore) -> SharedIndex:
    return store._backend._index  # type: ignore[attr-defined, no-any-return]


def reached(call: Callable[[], object]) -> bool:
    try:
        call()
    except StoreUnavailable:
        return False
    return True


def test_servers_see_each_others_voices(bucket: Bucket, stores: tuple[VoiceStore, VoiceStore]) -> None:
    one, other = stores
    ana = add(one, consent_recording=SPOKEN, language="es", description="d")
    assert one.list() == [ana]
    until(lambda: other.list() == [ana])
    assert (other.recording(ana), other.consent_recording("custom:ana")) == (RECORDING, SPOKEN)
    for number in (1, 2):
        other.save_embedding(ana, embedding(number))
    values = np.random.default_rng(1).standard_normal(MAX_EMBEDDING_VALUES).astype(np.float32)
    likeness = {f"l{number}": Similarity(1 / 3, 2 / 3, measured=True) for number in range(64)}
    longest = Embedding("e" * 200, "m" * 200, values, likeness)
    other.save_embedding(ana, longest)
    until(lambda: len(one.similarities(ana)) == 2)
    assert [found.values[0] for found in one.embeddings(ana)] == [2, values[0]]
    found = one.embedding(ana, longest.model)
    assert found is not None and (found.engine, found.similarity) == (longest.engine, likeness)
    assert np.array_equal(found.values, values)
    assert one.similarities(ana)["near-1"] == embedding(2).similarity
    assert len(bucket.objects() - EMPTY) == 4, "a replaced embedding is left"
    eva = other.rename("ana", "eva")
    assert eva == replace(ana, name="eva", renamed_at=eva.renamed_at) and eva.renamed_at
    assert len(other.embeddings(eva)) == 2
    with pytest.raises(UnknownVoice):
        one.rename("ana", "uwe")
    with pytest.raises(NameTaken):
        add(one, "eva")
    # At once, whatever either has in memory.
    one.delete("eva")
    assert one.list() == [] and bucket.objects() == EMPTY
    with pytest.raises(UnknownVoice):
        other.delete("eva")
    for reading in (other.recording, other.embeddings):
        with pytest.raises(UnknownVoice):
            reading(eva)
    other.save_embedding(eva, embedding(4))
    assert bucket.objects() == EMPTY
    again = add(other, "eva", recording=recording(4.0))
    until(lambda: one.list() == [again])


def test_one_of_several_servers_gets_a_name(bucket: Bucket) -> None:
    with ExitStack() as stack:
        stores = [stack.enter_context(bucket.store()) for _ in range(4)]
        add(stores[0], "old")
        until(lambda: all(len(store.list()) == 1 for store in stores))
        together = threading.Barrier(len(stores))

        def attempt(number: int) -> bool:
            together.wait(WITHIN_S)
            try:
                if number:
                    add(stores[number], recording=recording(3.0 + number / 10))
                else:
                    stores[0].rename("old", "ana")
            except NameTaken:
                return False
            return True

        with ThreadPoolExecutor(len(stores)) as pool:
            won = list(pool.map(attempt, range(len(stores))))
        assert sum(won) == 1
        until(lambda: len({tuple(store.list()) for store in stores}) == 1)
        voices = stores[3].list()
        assert {voice.name for voice in voices} == ({"ana"} if won[0] else {"ana", "old"})
        for voice in voices:
            stores[1].recording(voice)
        assert len(bucket.objects() - EMPTY) == len(voices), "a recording of a refused voice is left"


class FaultAt:
    """One request that goes wrong: "refused" without effect; "lost": done, but refused; "repeated": done, and
    the client is asked to try again."""

    def __init__(self, how: str, at: int) -> None:
        self._how, self._left = how, at
        self.done = False

    def __call__(self, environ: Environ, start: Start, app: App) -> Iterable[bytes]:
        if threading.current_thread().name == "voice bucket" or self.done:
            return app(environ, start)
        self._left -= 1
        if self._left >= 0:
            return app(environ, start)
        self.done = True
        if self._how != "refused":
            b"".join(app(environ, lambda *_: None))
        return answer("503 Slow" if self._how == "repeated" else "403 No", "SlowDown", start)


def started(bucket: Bucket) -> dict[str, object]:
    with bucket.store() as store:
        return content(store)


@pytest.mark.parametrize(
    ("change", "how"), [*((change, "lost") for change in CHANGES), ("add", "repeated"), ("add", "refused")]
)
def test_failed_request_leaves_old_or_new_state_and_nothing_else(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, change: str, how: str
) -> None:
    # Looks for changes would count among the requests of the change.
    monkeypatch.setattr("kani.core.voices.storage.shared_index.REFRESH_S", 1e6)
    monkeypatch.setattr("kani.core.voices.storage.bucket.REMOVED_AFTER_S", 0)
    act = CHANGES[change]
    with bucket.store() as store:
        with_a_voice(store)
        before = started(bucket)
        act(store)
    after = started(bucket)
    at, went_wrong = 0, True
    while went_wrong:
        bucket.folder = f"kani{at}"
        with bucket.store() as store:
            with_a_voice(store)
            bucket.fault = fault = FaultAt(how, at)
            done = True
            try:
                act(store)
            except StoreUnavailable:
                done = False
            bucket.fault = None
        found, went_wrong, at = started(bucket), fault.done, at + 1
        assert found == after if done else found in (before, after), f"request {at}: {bucket.requests}"
        with bucket.store() as store:
            if found == before:
                act(store)
            # Objects that the removal ten minutes later takes.
            index_of(store)._remove_due()
        assert started(bucket) == after
        assert len({path.split("/")[1] for path in bucket.objects() - EMPTY}) == len(after)
    assert at > 2


def test_bucket_that_is_away_fails_its_own_requests_alone(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with bucket.store() as store:
        ana = add(store)
    bucket.fault = refusing("503 Slow Down", "SlowDown")
    # A store starts meanwhile.
    with bucket.store() as store:
        with pytest.raises(StoreUnavailable):
            store.list()
        bucket.fault = None
        until(lambda: reached(store.list))
        assert store.list() == [ana]
    caplog.clear()
    with bucket.store() as store:
        secret = f"<StringToSign>{SECRET} {ACCESS_KEY}</StringToSign>"
        bucket.fault = refusing("403 Forbidden", "SignatureDoesNotMatch", secret)
        until(lambda: "cannot be used: the object store refuses (SignatureDoesNotMatch)" in caplog.text)
        before = len(bucket.requests)
        for change in (lambda: add(store, "eva"), lambda: store.delete("ana"), lambda: store.recording(ana)):
            with pytest.raises(StoreUnavailable, match="cannot be reached at the moment"):
                change()
        assert not [each for each in bucket.requests[before:] if "index.json" not in each]
        assert store.list() == [ana]
        late = SimpleNamespace(monotonic=lambda: time.monotonic() + STALE_S + 1, time=time.time)
        monkeypatch.setattr(shared_index, "time", late)
        with pytest.raises(StoreUnavailable):
            store.get("ana")
        bucket.fault = None
        until(lambda: "answers again" in caplog.text)
        # A look that began before the clock was moved is as old as that: the next one counts.
        until(lambda: index_of(store).is_fresh)
        assert store.get("ana") == ana
        store.delete("ana")
    assert SECRET not in caplog.text and ACCESS_KEY not in caplog.text


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("304 Not Modified", "NotModified"),
        ("404 Not Found", "NoSuchKey"),
        ("409 Conflict", "OperationAborted"),
        ("412 Precondition Failed", "PreconditionFailed"),
    ],
)
def test_odd_answer_fails(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, status: str, code: str) -> None:
    def unexpected(environ: Environ, start: Start, app: App) -> Iterable[bytes]:
        # 304 and 404 are answers to a look for changes.
        is_look = "index.json" in environ["PATH_INFO"]
        if is_look and (environ["REQUEST_METHOD"] == "PUT" or status[:3] in ("304", "404")):
            return app(environ, start)
        return answer(status, code, start)

    with bucket.store() as store:
        with_a_voice(store)
        until(lambda: not index_of(store)._away)
        monkeypatch.setattr("kani.core.voices.storage.bucket.REMOVED_AFTER_S", 0)
        bucket.fault = unexpected
        with pytest.raises(StoreUnavailable):
            store.delete("ana")
        looked = len(bucket.requests)
        until(lambda: len(bucket.requests) > looked + 5)
        bucket.fault = None
        with suppress(UnknownVoice):
            until(lambda: reached(lambda: store.delete("ana")))
        until(lambda: bucket.objects() == EMPTY)
        # Looks for changes go on.
        looked = len(bucket.requests)
        until(lambda: len(bucket.requests) > looked)


def test_removal_without_the_right_to_delete_pauses(bucket: Bucket) -> None:
    attempts, claims = list[float](), list[float]()

    def deny_deletion(environ: Environ, start: Start, app: App) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("POST", "DELETE"):
            attempts.append(time.monotonic())
            return answer("403 Forbidden", "AccessDenied", start)
        if environ["REQUEST_METHOD"] == "PUT":
            claims.append(time.monotonic())
        return app(environ, start)

    with bucket.store() as store:
        with_a_voice(store)
        bucket.fault = deny_deletion
        with pytest.raises(StoreUnavailable):
            store.delete("ana")
        until(lambda: not index_of(store)._away)
        attempts.clear()
        claims.clear()
        index_of(store).change(lambda state: state.removed.update(dict.fromkeys(state.removed, 1.0)))
        until(lambda: len(attempts) >= 4)
        bucket.fault = None
        until(lambda: bucket.objects() == EMPTY)
    gaps = [later - earlier for earlier, later in pairwise(attempts)]
    assert all(gap >= 0.01 * 2**number for number, gap in enumerate(gaps, 1)), gaps
    assert len(claims) == 2, "an index without a change was written"


def test_bucket_without_conditions_is_refused(bucket: Bucket) -> None:
    conditions = {"HTTP_IF_MATCH": "", "HTTP_IF_NONE_MATCH": ""}
    bucket.fault = lambda environ, start, app: app(environ | conditions, start)
    with bucket.store() as store:
        with pytest.raises(StoreUnavailable, match="ignores the conditions If-None-Match and If-Match"):
            add(store)
        assert store.list() == []


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b'{"version": 2, "shelves": []}', r"newer version .* \(format 2; this one reads up to 1\)"),
        (b'{"version": 1, "shelves": []}', "is damaged .*: restore it"),
        (b"not JSON", "is damaged"),
        (b'{"version": ' + b"[" * 100_000, "is damaged"),
        (b'{"version": 1, "removed": {"../other": 1}}', "is damaged .an invalid id"),
        (None, "there is no bucket 'voices': make it, or set KANI_VOICE_BUCKET"),
    ],
)
def test_unreadable_bucket_ends_the_start(bucket: Bucket, written: bytes | None, reason: str) -> None:
    if written is None:
        bucket.fault = refusing("404 Not Found", "NoSuchBucket")
    else:
        bucket.object_store().write("index.json", written)
    with pytest.raises(StoreUnavailable, match=reason):
        VoiceStore(bucket.backend()).start()


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "503 Slow Down"])
def test_start_does_not_wait_for_the_bucket(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """It is used once it answers, also where it refused at first."""
    monkeypatch.setattr(shared_index, "START_S", 0.05)
    answers = threading.Event()

    def late(environ: Environ, start: Start, app: App) -> Iterable[bytes]:
        answers.wait(WITHIN_S)
        return app(environ, start) if status == "200 OK" else answer(status, "No", start)

    bucket.fault = late
    with bucket.store() as store:
        assert not reached(store.list)
        answers.set()
        until(lambda: status == "200 OK" or len(bucket.requests) > 2)
        bucket.fault = None
        until(lambda: reached(store.list) and not index_of(store)._away)
        assert store.list() == []
        add(store)
        until(lambda: len(store.list()) == 1)


def test_longer_index_is_neither_read_nor_written(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 3_000
    monkeypatch.setattr(shared_index, "MAX_INDEX_BYTES", limit)
    with bucket.store() as store:
        add(store, "one", description="d" * 1_000)
        with pytest.raises(StoreUnavailable, match="delete one first"):
            add(store, "two", description="d" * 2_000)
        assert [voice.name for voice in store.list()] == ["one"]
        store.delete("one")
        add(store, "two", description="d" * 2_000)
        bucket.object_store().write("index.json", bytes(limit + 1))
        until(lambda: index_of(store)._away)
        assert [voice.name for voice in store.list()] == ["two"]
    with pytest.raises(StoreUnavailable, match=f"{limit + 1} bytes"):
        bucket.backend().start()


class Changing:
    """An object store with another index at each look, until ``looks`` are made; then it stays."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def read_if_changed(self, path: str, version: str, max_bytes: int) -> Object | None:
        self._left -= 1
        return Object(Index().encode(), str(self._left)) if self._left >= 0 else None

    def read(self, path: str, max_bytes: int) -> Object | None:
        return self.read_if_changed(path, "", max_bytes)


class Waits(threading.Event):
    """Notes how long is waited for it, and does not wait."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._count = count

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        return len(self.seconds) == self._count


def test_looks_are_spaced_by_what_a_change_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    took = [0.01, 0.3, 5.0]
    clock = iter([value for seconds in took for value in (0.0, seconds)])
    index = SharedIndex(Changing(len(took)))  # type: ignore[arg-type]
    index._stopped = Waits(6)
    with monkeypatch.context() as patch:
        patch.setattr(time, "thread_time", lambda: next(clock))
        index._watch(Future())
    assert index._stopped.seconds == [1.0, pytest.approx(6.0), 10.0, 1.0, 1.0, 1.0]
    assert STALE_S > 2 * shared_index.MAX_REFRESH_S


def test_missing_package_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "kani.composition.voices.object_store")
    monkeypatch.setitem(sys.modules, "obstore", None)
    cure = "obstore is missing: pip install -r deploy/requirements-bucket"
    with pytest.raises(StoreUnavailable, match=cure):
        voice_place("s3://voices", Path())


def test_consents_are_shared(bucket: Bucket, stores: tuple[VoiceStore, VoiceStore]) -> None:
    one, other = (store.consents for store in stores)
    given = one.add("Ana", "es", SPOKEN)
    until(lambda: other.list() == [given])
    assert other.recording(given.id) == SPOKEN
    assert other.rename(given.id, "Eva") == replace(given, name="Eva")
    one.delete(given.id)
    for call in (one.get, other.delete):
        with pytest.raises(UnknownVoice):
            call(given.id)
    assert bucket.objects() == EMPTY
