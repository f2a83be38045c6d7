"""Two processes change one store at random and are killed at random moments."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import NameTaken, UnknownVoice
from kani.core.types import Embedding
from kani.core.voices.store import VoiceStore
from tests.core.voices.test_store import add, recording
from tests.core.voices.test_store_faults import assert_no_leftovers
from tests.support.patience import WITHIN_S

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(os.name == "nt", reason="processes are not killed this way"),
]

CHANGES = 200
NAMES_EACH = 5

Voices = dict[str, tuple[int, int]]
"""By name: which recording a voice has, and which embedding (0 is none)."""

Change = tuple[str, str, str, int]
"""What is done, to which name, to which other one, with which number."""


def change_voices(folder: Path, prefix: str, number: int, told: Connection) -> None:
    """Make 200 changes to voices with this prefix, reporting each before and after."""
    chance = random.Random(number)
    names = [f"{prefix}{index}" for index in range(NAMES_EACH)]
    recordings = [recording(3.0 + index / 10) for index in range(3)]
    store = VoiceStore(folder)
    for _ in range(CHANGES):
        what = chance.choice(["add", "add", "rename", "embed", "embed", "delete"])
        change = (what, chance.choice(names), chance.choice(names), chance.randrange(1, 1000))
        told.send_bytes(json.dumps(change).encode())
        told.send_bytes(json.dumps(_done(store, change, recordings)).encode())


def _done(store: VoiceStore, change: Change, recordings: list[bytes]) -> str:
    what, name, other, number = change
    try:
        match what:
            case "add":
                consent = recordings[0] if number % 2 else None
                add(store, name, recording=recordings[number % 3], consent_recording=consent)
            case "rename":
                store.rename(name, other)
            case "embed":
                made = Embedding("kokoro", "near-1", np.full(256, number, np.float32))
                store.save_embedding(store.get(name), made)
            case "delete":
                store.delete(name)
    except NameTaken:
        return "taken"
    except UnknownVoice:
        return "unknown"
    return "done"


def expected(voices: Voices, change: Change) -> tuple[Voices, str]:
    """The voices after a change, and its reported outcome."""
    what, name, other, number = change
    if what == "add":
        return (voices, "taken") if name in voices else (voices | {name: (number % 3, 0)}, "done")
    if name not in voices:
        return voices, "unknown"
    if what == "rename" and other in voices and other != name:
        return voices, "taken"
    rest = {known: voice for known, voice in voices.items() if known != name}
    if what == "rename":
        return rest | {other: voices[name]}, "done"
    return (rest | {name: (voices[name][0], number)} if what == "embed" else rest), "done"


@dataclass
class Worker:
    """A process that changes voices, and the expected content of the store."""

    folder: Path
    prefix: str
    voices: Voices = field(default_factory=dict)
    changes: int = 0
    under_way: Change | None = None

    def start(self, number: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.core.voices.test_store_kills"])
        self._told, telling = context.Pipe(duplex=False)
        self._process: ForkServerProcess = context.Process(
            target=change_voices, args=(self.folder, self.prefix, number, telling)
        )
        self._process.start()
        telling.close()

    def begun(self) -> None:
        assert self._told.poll(WITHIN_S)

    def kill(self, after_s: float) -> None:
        """Kill the process after some seconds, unless it has ended, and read its reports."""
        self._process.join(after_s)
        self._process.kill()
        self._process.join()
        assert self._process.exitcode in (0, -9)
        self.under_way = None
        while True:
            try:
                told = json.loads(self._told.recv_bytes())
            except EOFError:
                break
            if self.under_way is None:
                self.under_way = (told[0], told[1], told[2], told[3])
                continue
            self.voices, outcome = expected(self.voices, self.under_way)
            assert told == outcome, self.under_way
            self.changes, self.under_way = self.changes + 1, None
        self._told.close()

    def check(self, found: Voices) -> None:
        """Assert that the store holds every finished change, and the running one completely or not at all."""
        mine = {name: voice for name, voice in found.items() if name.startswith(self.prefix)}
        possible = [self.voices]
        if self.under_way is not None:
            possible.append(expected(self.voices, self.under_way)[0])
        assert mine in possible, self.under_way
        self.voices = mine


def stored_voices(folder: Path) -> Voices:
    """Content of the store as newly opened."""
    store = VoiceStore(folder)
    recordings = [recording(3.0 + index / 10) for index in range(3)]
    voices: Voices = {}
    for voice in store.list():
        which = recordings.index(store.recording(voice))
        if voice.has_consent_recording:
            assert store.consent_recording(voice.name) == recordings[0]
        embedding = store.embedding(voice, "near-1")
        voices[voice.name] = (which, 0 if embedding is None else int(embedding.values[0]))
    return voices


def test_killed_processes_leave_complete_voices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Kill two processes twelve times."""
    chance = random.Random(12)
    workers = [Worker(tmp_path, prefix) for prefix in ("a", "b")]
    with caplog.at_level(logging.WARNING):
        for number in range(12):
            for worker in workers:
                worker.start(number)
            for worker in workers:
                worker.begun()
            for worker in chance.sample(workers, 2):
                worker.kill(chance.uniform(0.0, 0.5))
            found = stored_voices(tmp_path)
            for worker in workers:
                worker.check(found)
            assert_no_leftovers(tmp_path)
    assert caplog.records == []
    assert sum(worker.changes for worker in workers) > 0
