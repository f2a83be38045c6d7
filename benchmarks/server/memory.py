"""Memory of one server after each kind of request, by where it lies.

Parts: growth (resident memory after the start, after the first request of each kind, which loads what it
needs, after more of them, and after all of that again). Settings of the C library, such as MALLOC_ARENA_MAX,
are passed on to the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.playback_client import connected, request_speech
from benchmarks.protocols import kyutai_client
from benchmarks.report import measure, mib, table
from benchmarks.sentences import WITH_EARLY_PHRASE, one_minute_text
from benchmarks.server_process import HOST, Server
from websocket_client import KaniTTSClient

REQUESTS = 8
LONG_REQUESTS = 1
PASSES = 1
"""Repetitions of all kinds of requests."""

AT_ONCE = 4
ARENA_BYTES = 64 << 20
"""Alignment and maximum size of the heaps of glibc's arenas."""

KINDS = ("libraries and files", "the main heap", "arenas of threads", "other blocks")

Request = Callable[[Server, int], Awaitable[None]]


def resident(process: int) -> dict[str, int]:
    """Resident bytes of a process by where they lie, from its maps.

    Other blocks are mapped one by one: large arrays, what onnxruntime and torch keep, stacks of threads.
    """
    found = dict.fromkeys(KINDS, 0)
    kind = ""
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            begin, end = (int(edge, 16) for edge in first.split("-"))
            name = rest[4] if len(rest) > 4 else ""
            if name == "[heap]":
                kind = "the main heap"
            elif name.startswith("/"):
                kind = "libraries and files"
            elif begin % ARENA_BYTES == 0 and end - begin <= ARENA_BYTES:
                kind = "arenas of threads"
            else:
                kind = "other blocks"
        elif first == "Rss:":
            found[kind] += int(rest[0]) * 1024
    return found


async def _kani(server: Server, number: int, text: str) -> None:
    """Send requests of Kani's protocol, streamed and whole in turn."""
    async with connected(server.url) as socket:
        await request_speech(socket, "es", text, streamed=number % 2 == 0)


async def _short(server: Server, number: int) -> None:
    texts = WITH_EARLY_PHRASE["es"]
    await _kani(server, number, texts[number % len(texts)])


async def _long(server: Server, number: int) -> None:
    await _kani(server, number, one_minute_text(number))


async def _post(server: Server, path: str, body: bytes, kind: str) -> None:
    def ask() -> None:
        connection = HTTPConnection(HOST, server.port)
        connection.request("POST", path, body, {"content-type": kind, **kyutai_client.KEY})
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {told[:200]!r}")

    await asyncio.to_thread(ask)


async def _elevenlabs(server: Server, number: int, voice: str = "af_heart") -> None:
    """Request whole answers, in each format in turn."""
    form = ("mp3_44100_128", "opus_48000_64", "pcm_24000")[number % 3]
    texts = WITH_EARLY_PHRASE["en"]
    body = json.dumps({"text": texts[number % len(texts)]}).encode()
    await _post(server, f"/v1/text-to-speech/{voice}?output_format={form}", body, "application/json")


async def _espeak(server: Server, number: int) -> None:
    await _elevenlabs(server, number, "espeak:de")


async def _words(server: Server, number: int) -> None:
    """Send a text by Kyutai's protocol, word by word."""
    texts = WITH_EARLY_PHRASE["es"]
    await kyutai_client.speak(server.url, texts[number % len(texts)], word_s=0.01, voice="ef_dora")


class Recorded:
    """Speech by the server itself, for requests that bring a recording."""

    def __init__(self) -> None:
        self._recordings: list[bytes] = []

    async def record(self, server: Server) -> None:
        """Request the speech of some texts."""
        async with KaniTTSClient(url=server.url) as client:
            for text in WITH_EARLY_PHRASE["en"][:4]:
                self._recordings.append(await client.send_tts_request(text, {"language": "english"}))

    async def clone(self, server: Server, number: int) -> None:
        """Request speech with a reference recording."""
        async with KaniTTSClient(url=server.url) as client:
            config, recording = {"language": "english"}, self._recordings[number % len(self._recordings)]
            await client.send_tts_request("That is how it sounds.", config, recording)

    async def hear(self, server: Server, number: int) -> None:
        """Request the words of a recording."""
        recording = self._recordings[number % len(self._recordings)]
        await _post(server, "/api/asr-streaming", recording, "audio/wav")


async def _ask(server: Server, request: Request, requests: int) -> None:
    """Send ``requests`` requests, ``AT_ONCE`` of them at a time."""
    for begin in range(0, requests, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, requests))
        await asyncio.gather(*(request(server, number) for number in numbers))


def _row(what: str, requests: int, server: Server, before: int) -> list[str]:
    found = resident(server.process_id)
    total = sum(found.values())
    return [what, str(requests), mib(total), mib(total - before), *(mib(found[kind]) for kind in KINDS)]


async def _rows(server: Server) -> list[list[str]]:
    recorded = Recorded()
    kinds: Mapping[str, tuple[Request, int]] = {
        "Kani, a sentence": (_short, REQUESTS),
        "Kani, a minute": (_long, LONG_REQUESTS),
        "ElevenLabs, whole": (_elevenlabs, REQUESTS),
        "Kyutai, word by word": (_words, REQUESTS),
        "espeak-ng": (_espeak, REQUESTS),
        "recognised": (recorded.hear, REQUESTS),
        "cloned": (recorded.clone, REQUESTS),
    }
    rows = [_row("the start", 0, server, 0)]
    await recorded.record(server)

    def add(what: str, requests: int, before: int) -> None:
        rows.append(_row(what, requests, server, before))
        print(" ".join(rows[-1]), file=sys.stderr, flush=True)

    for what, (request, requests) in kinds.items():
        for first, asked in ((" (the first)", 1), ("", requests)):
            before = sum(resident(server.process_id).values())
            await _ask(server, request, asked)
            add(what + first, asked, before)
    for number in range(PASSES):
        before = sum(resident(server.process_id).values())
        for request, requests in kinds.values():
            await _ask(server, request, requests)
        add(f"all of that, pass {number + 2}", sum(each for _, each in kinds.values()), before)
    return rows


def growth() -> None:
    """Measure resident memory after each kind of request."""
    with Server() as server:
        rows = asyncio.run(_rows(server))
    print(f"Resident memory of one server with its default engines, {AT_ONCE} requests at once:\n")
    print(table(("after", "requests", "resident", "growth", *KINDS), rows) + "\n", flush=True)


PARTS = {"growth": growth}


if __name__ == "__main__":
    measure("server.memory", __doc__, "The server's memory", PARTS)
