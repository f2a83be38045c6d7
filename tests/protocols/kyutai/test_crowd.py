"""A hundred concurrent clients of Kyutai's protocol; a third disconnect."""

import asyncio
import faulthandler
import gc
import logging
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from kani.composition.settings import load
from kani.core.types import Samples
from kani.server.allocator import trim_heap
from kani.server.app import serve
from kani.server.lifecycle import RunningServer
from tests.clients.kyutai.wire import EOS, KEY, RATE, audio_message, pack, text_message, unpack
from tests.support.patience import happens

FORMATS = ["PcmMessagePack", "OggOpusMessagePack", "Pcm", "OggOpus"]
CROWD = 100
MIB = 2**20

GERMAN = [
    "Guten Morgen, der Zug fährt heute vom anderen Gleis ab. Bitte steigen Sie hinten ein.",
    'Eins, zwei, <break time="0.5s"/> drei, vier. Und jetzt noch einmal von vorne!',
    "Wir haben den ganzen Vormittag im Garten verbracht: Es war warm, und die Kinder spielten.",
    "Ja.",
    "Das ist ein langer Satz, der immer weitergeht, " * 5 + "und dann doch noch endet.",
    "Am 3. Mai 2024 kostete es 12,50 Euro. Danach wurde es teurer. Niemand wusste, warum.",
]
ENGLISH = ["Thank you very much.", "The soup is ready.", "Good morning."]


class Leaving(Enum):
    CLOSE = "says goodbye"
    ABORT = "drops its connection"
    TORN = "drops it in the middle of a message"


class Gone(Exception):
    """This client has left."""


@dataclass(frozen=True)
class Client:
    """One client of the crowd.

    kind: "speak" (a text, by espeak-ng), "post" (a text, by Kokoro), or "listen" (a recording); what:
    which one of them; form: of speech; by_word: whether it sends a message a word; leaving: how, if it
    does; after: how many messages.
    """

    kind: str
    what: int
    form: str
    by_word: bool
    leaving: Leaving | None
    after: int

    @property
    def asked(self) -> tuple[str, int, str]:
        return self.kind, self.what, self.form


Told = list[bytes] | list[str]


@dataclass(frozen=True)
class Server:
    port: int
    running: RunningServer
    recordings: list[Samples]

    async def answer(self, client: Client) -> Told:
        if client.kind == "post":
            return await self._posted(client)
        if client.kind == "speak":
            url, ways = "/api/tts_streaming", f"?language=german&format={client.form}"
        else:
            url, ways = "/api/asr-streaming", "?language=english"
        async with connect(
            f"ws://127.0.0.1:{self.port}{url}{ways}",
            additional_headers=KEY,
            max_size=None,
            ping_interval=None,
        ) as socket:
            if client.kind == "speak":
                return await self._spoken(socket, client)
            return await self._heard(socket, client)

    async def _spoken(self, socket: ClientConnection, client: Client) -> list[bytes]:
        text = GERMAN[client.what]
        for word in text.split(" ") if client.by_word and "<" not in text else [text]:
            await socket.send(text_message(word))
        if client.leaving is None or client.after > 2:
            await socket.send(EOS)
        messages: list[bytes] = []
        try:
            while True:
                if client.leaving is not None and len(messages) >= client.after:
                    await leave(socket, client.leaving)
                message = await socket.recv()
                assert isinstance(message, bytes)
                messages.append(message)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and (closed.rcvd.code, closed.rcvd.reason) == (1000, "")
            return messages

    async def _heard(self, socket: ClientConnection, client: Client) -> list[str]:
        samples = self.recordings[client.what]
        # Somebody who speaks now is heard while speaking: when the recogniser looks at a sentence, and so
        # how its words are timed, is a matter of the moment. A recording is looked at once.
        at_once = client.what < len(ENGLISH) and client.leaving is None
        piece = 4800 if client.by_word and not at_once else len(samples)
        for at in range(0, len(samples), piece):
            await socket.send(audio_message(samples[at : at + piece]))
        await socket.send(pack({"type": "Marker", "id": client.what}))
        told: list[str] = []
        while True:
            if client.leaving is not None and len(told) >= client.after:
                await leave(socket, client.leaving)
            message = unpack(await socket.recv())
            # How sure a pause is, and how much waits to be heard, is a matter of the moment.
            told.append(f"Step {message['step_idx']}" if message["type"] == "Step" else str(message))
            if message["type"] == "Marker":
                # The steps between which a word is sent depend on timing too: under overload a recording
                # is recognized no faster than speech comes.
                return sorted(told, key=lambda message: message.startswith("Step"))

    async def _posted(self, client: Client) -> list[bytes]:
        address = f"http://127.0.0.1:{self.port}/api/tts_streaming"
        body = {"text": ENGLISH[client.what], "voice": "af_heart"}
        async with (
            httpx.AsyncClient(headers=KEY, timeout=120) as http,
            http.stream("POST", address, json=body) as answer,
        ):
            assert answer.status_code == 200
            if client.leaving is not None:
                raise Gone
            return [await answer.aread()]


async def leave(socket: ClientConnection, how: Leaving) -> None:
    if how is Leaving.TORN and socket.state is State.OPEN:
        # A frame of a thousand bytes; ten of them come.
        socket.transport.write(b"\x82\xfe\x03\xe8" + bytes(4) + text_message("a" * 990)[:10])
    if how is not Leaving.CLOSE:
        socket.transport.abort()
    raise Gone


def crowd(seed: int, recordings: int) -> list[Client]:
    dice = random.Random(seed)
    clients = []
    for _ in range(CROWD):
        kind = dice.choices(["speak", "post", "listen"], [150, 6, 44])[0]
        most = {"speak": len(GERMAN), "post": len(ENGLISH), "listen": recordings}[kind]
        leaving = dice.choice(list(Leaving)) if dice.random() < 1 / 3 else None
        form = dice.choice(FORMATS) if kind == "speak" else ""
        client = Client(kind, dice.randrange(most), form, dice.random() < 0.5, leaving, dice.randrange(8))
        clients.append(client)
    return clients


@asynccontextmanager
async def serving(folder: Path, cache: Path) -> AsyncIterator[RunningServer]:
    """The whole server in this event loop, so that its tasks are countable; Kokoro has measured its speed."""
    arguments = {"host": "127.0.0.1", "port": 0, "data_dir": folder / "data", "cache_dir": cache}
    loop, measured = asyncio.get_running_loop(), asyncio.Event()
    measuring = logging.getLogger("kani.engines.kokoro.engine")

    def watch(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Kokoro takes "):
            loop.call_soon_threadsafe(measured.set)
        return True

    level = measuring.level
    measuring.setLevel(logging.INFO)
    measuring.addFilter(watch)
    ready: asyncio.Future[RunningServer] = loop.create_future()
    # The clients' German is espeak-ng's: Kokoro would take minutes for a hundred of them.
    settings = load(arguments, {"KANI_ACCENTED_LANGUAGES": "none"}, folder / "none")
    server = asyncio.create_task(serve(settings, ready.set_result))
    await asyncio.wait([server, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        await measured.wait()
        yield ready.result()
    finally:
        measuring.removeFilter(watch)
        measuring.setLevel(level)
        os.kill(os.getpid(), signal.SIGTERM)
        await server
        # After SIGTERM a watchdog ends the process some seconds later: not this process.
        faulthandler.cancel_dump_traceback_later()


async def recordings(port: int) -> list[Samples]:
    """Speech, noise and silence: after so much silence that all is a recording, and before a pause."""
    dice = np.random.default_rng(5)
    sounds: list[Samples] = []
    async with httpx.AsyncClient(headers=KEY, timeout=120) as http:
        for text in ENGLISH:
            answer = await http.post(
                f"http://127.0.0.1:{port}/api/tts_streaming", json={"text": text, "voice": "af_heart"}
            )
            sounds.append(np.frombuffer(answer.content[44:], "<i2").astype(np.float32) / 32768)
    for seconds in (0.5, 1.3, 2.2, 3.0):
        sounds.append(dice.normal(0, 0.05, round(seconds * RATE)).astype(np.float32))
        sounds.append(np.zeros(round(seconds * RATE), np.float32))
    return [np.pad(sound, (2 * RATE, RATE)) for sound in sounds]


def is_settled(server: Server, tasks: set[asyncio.Task[object]]) -> bool:
    """True if no session is open, no place is taken, and no task runs that was not there before."""
    state = server.running.service.state()
    left = asyncio.all_tasks() - tasks
    return not (state.sessions or state.slots_in_use or state.waiting or left)


@pytest.mark.alone
@pytest.mark.heard
async def test_hundred_clients_do_not_affect_each_other(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a full machine words that are sent one after the other may be read a second apart.
    monkeypatch.setattr("kani.protocols.kyutai.speech_out.IDLE_FLUSH_S", 10.0)
    memory: list[int] = []
    async with serving(tmp_path, cache) as running:
        server = Server(running.listeners.port, running, await recordings(running.listeners.port))
        crowds = [crowd(seed, len(server.recordings)) for seed in (1, 2, 1)]
        alone: dict[tuple[str, int, str], Told] = {}
        for client in chain(*crowds):
            if client.asked not in alone:
                alone[client.asked] = await server.answer(replace(client, by_word=False, leaving=None))
        assert all(any("Word" in told for told in alone["listen", n, ""]) for n in range(len(ENGLISH)))
        tasks = asyncio.all_tasks()
        for clients in crowds:
            answers = await asyncio.gather(*map(server.answer, clients), return_exceptions=True)
            await happens(lambda: is_settled(server, tasks))
            left = [client for client, told in zip(clients, answers, strict=True) if isinstance(told, Gone)]
            stayed = [pair for pair in zip(clients, answers, strict=True) if pair[0] not in left]
            assert len(left) > CROWD / 5 and all(client.leaving for client in left)
            wrong = [(client, str(told)[:200]) for client, told in stayed if told != alone[client.asked]]
            assert wrong == []
            gc.collect()
            # As a server does each minute: what was freed is not what is held.
            trim_heap()
            memory.append(psutil.Process().memory_info().rss)
    # The engines' memory grows with the first crowds; what each left over, the last would leave again.
    assert memory[2] < memory[1] + 64 * MIB
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
