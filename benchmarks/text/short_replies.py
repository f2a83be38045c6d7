"""The language of short replies ("Sure.", "Alarm set.") in requests that name none, by each protocol.

A server with espeak-ng, which speaks all languages and at once, gets 200 replies in eight languages by real
connections, and its log tells the language of each. The replies were written before anything was measured.
held_out: those that nothing was fitted to.
tuning: the other 200; the detector has their commonest words in its table.

The columns are what tells the language: nothing (of the protocol's own users: English, and Spanish of
Kani's); the client's Accept-Language; a sentence before it on the same connection (then all of a language's
replies come in one conversation, and one wrong guess may mislead the next); KANI_LANGUAGE.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import httpx
from websockets.asyncio.client import connect
from wyoming.audio import AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize

from benchmarks.protocols.kyutai_client import KEY
from benchmarks.report import measure, table
from benchmarks.server_process import HOST, Server
from benchmarks.text.phrases import REPLIES, REPLIES_TUNING, read_phrases

WYOMING_PORT = 10_398
LOGGED_WITHIN_S = 60.0
ASK_AGAIN_S = 0.01

SENTENCES = {
    "en": "The weather is very nice today.",
    "es": "Hoy hace muy buen tiempo.",
    "fr": "Il fait très beau aujourd'hui.",
    "it": "Oggi il tempo è molto bello.",
    "pt": "Hoje o tempo está muito bonito.",
    "de": "Das Wetter ist heute sehr schön.",
    "nl": "Het weer is vandaag erg mooi.",
    "pl": "Pogoda jest dziś bardzo ładna.",
}
"""Openings of a conversation, by language."""

Headers = Mapping[str, str]
NONE: Headers = MappingProxyType({})
Say = Callable[[Server, Sequence[str], Headers], Awaitable[None]]
"""Has texts spoken one after the other, on one connection."""


def posting(path: str, field: str, more: Headers = NONE, key: Headers = NONE) -> Say:
    """Return the door of an HTTP call; field: of the text; more: further fields; key: in its headers."""

    async def say(server: Server, texts: Sequence[str], headers: Headers) -> None:
        base = f"http://{HOST}:{server.port}"
        async with httpx.AsyncClient(base_url=base, headers={**key, **headers}, trust_env=False) as client:
            for text in texts:
                (await client.post(path, json={field: text, **more})).raise_for_status()

    return say


async def kani(server: Server, texts: Sequence[str], headers: Headers) -> None:
    """Kani's WebSocket."""
    async with connect(server.url, max_size=None, additional_headers=headers, proxy=None) as socket:
        for text in texts:
            await socket.send(json.dumps({"type": "tts_request", "data": {"text": text}}))
            await socket.recv()


async def voxcpm(server: Server, texts: Sequence[str], headers: Headers) -> None:
    """VoxCPM's WebSocket."""
    url = f"{server.url}tts"
    async with connect(url, max_size=None, additional_headers=headers, proxy=None) as socket:
        for number, text in enumerate(texts):
            params = {"text": text, "mode": "non_streaming"}
            request = {"type": "tts_request", "request_id": f"{number}", "params": params}
            await socket.send(json.dumps(request))
            while isinstance(raw := await socket.recv(), bytes) or json.loads(raw)["type"] == "progress":
                pass


async def elevenlabs(server: Server, texts: Sequence[str], headers: Headers) -> None:
    """ElevenLabs' WebSocket of several contexts."""
    url = f"{server.url}v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input"
    async with connect(url, max_size=None, additional_headers=headers, proxy=None) as socket:
        for number, text in enumerate(texts):
            context = {"context_id": f"{number}"}
            await socket.send(json.dumps({"text": f"{text} ", "flush": True, **context}))
            await socket.send(json.dumps({"close_context": True, **context}))
            while not json.loads(await socket.recv()).get("isFinal"):
                pass


async def wyoming(server: Server, texts: Sequence[str], headers: Headers) -> None:
    """Wyoming, which has no headers."""
    async with AsyncTcpClient(HOST, WYOMING_PORT) as client:
        for text in texts:
            await client.write_event(Synthesize(text).event())
            while (event := await client.read_event()) is not None and not AudioStop.is_type(event.type):
                pass


DOORS: Mapping[str, Say] = {
    "OpenAI, /v1/audio/speech": posting("/v1/audio/speech", "input", {"model": "tts-1", "voice": "alloy"}),
    "ElevenLabs, HTTP": posting("/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM", "text"),
    "ElevenLabs, WebSocket": elevenlabs,
    "Wyoming": wyoming,
    "VoxCPM": voxcpm,
    "Kyutai, HTTP": posting("/api/tts_streaming", "text", {"voice": ""}, KEY),
    "Kani": kani,
}
CONVERSING = ("ElevenLabs, WebSocket", "Wyoming", "VoxCPM", "Kani")
WITHOUT_HEADERS = ("Wyoming",)


class Log:
    """The languages of spoken texts, from a server's log."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0

    def take(self, count: int) -> list[str]:
        """Return the primary subtags of the next ``count`` texts. Raises TimeoutError."""
        deadline = time.monotonic() + LOGGED_WITHIN_S
        while len(found := self._languages()) < self._read + count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found) - self._read} of {count} texts are in the log")
            time.sleep(ASK_AGAIN_S)
        taken = found[self._read : self._read + count]
        self._read += count
        return taken

    def _languages(self) -> list[str]:
        return re.findall(r"outcome=completed .*\blanguage=(\w+)", self._file.read_text(encoding="utf-8"))


class Share:
    """Replies counted, and the right ones among them."""

    def __init__(self) -> None:
        self.right = self.all = 0

    def add(self, language: str, spoken: Sequence[str]) -> None:
        """Count replies in ``language``."""
        self.right += spoken.count(language)
        self.all += len(spoken)

    def __str__(self) -> str:
        return f"{self.right / self.all:.1%} ({self.right} of {self.all})" if self.all else "–"


COLUMNS = ("nothing", "Accept-Language", "a sentence before", "KANI_LANGUAGE")


def replies_of(file: Path) -> dict[str, list[str]]:
    """Return the replies of a file by language."""
    replies: dict[str, list[str]] = {}
    for language, text in read_phrases(file):
        replies.setdefault(language, []).append(text)
    return replies


def _server(log: Path, **more: str) -> Server:
    environment = {"KANI_LOG_FILE": str(log), "KANI_WYOMING_PORT": str(WYOMING_PORT), **more}
    return Server("--engine", "espeak", "--wyoming", **environment)


def _each(say: Say, server: Server, texts: Sequence[str], headers: Headers = NONE) -> None:
    """Have each text spoken on a connection of its own."""

    async def spoken() -> None:
        for text in texts:
            await say(server, [text], headers)

    asyncio.run(spoken())


def measured(file: Path) -> dict[str, dict[str, Share]]:
    """Return the shares by door and column."""
    replies = replies_of(file)
    shares = {door: {column: Share() for column in COLUMNS} for door in DOORS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plain.log")
        with _server(path) as server:
            log = Log(path)
            for door, say in DOORS.items():
                found = shares[door]
                own = "es" if door == "Kani" else "en"
                _each(say, server, replies[own])
                found["nothing"].add(own, log.take(len(replies[own])))
                for language, texts in replies.items():
                    if door not in WITHOUT_HEADERS:
                        _each(say, server, texts, {"accept-language": language})
                        found["Accept-Language"].add(language, log.take(len(texts)))
                    if door in CONVERSING:
                        asyncio.run(say(server, [SENTENCES[language], *texts], {}))
                        found["a sentence before"].add(language, log.take(1 + len(texts))[1:])
        for language, texts in replies.items():
            path = Path(folder, f"{language}.log")
            with _server(path, KANI_LANGUAGE=language) as server:
                log = Log(path)
                for door, say in DOORS.items():
                    _each(say, server, texts)
                    shares[door]["KANI_LANGUAGE"].add(language, log.take(len(texts)))
    return shares


def _show(file: Path) -> None:
    shares = measured(file)
    rows = [(door, *(str(found[column]) for column in COLUMNS)) for door, found in shares.items()]
    print(table(("protocol", *COLUMNS), rows) + "\n", flush=True)


def held_out() -> None:
    """Measure the replies that nothing was fitted to."""
    _show(REPLIES)


def tuning() -> None:
    """Measure the other half."""
    _show(REPLIES_TUNING)


if __name__ == "__main__":
    measure(
        "text.short_replies",
        __doc__,
        "The language of short replies",
        {"held_out": held_out, "tuning": tuning},
        "py3langid",
    )
