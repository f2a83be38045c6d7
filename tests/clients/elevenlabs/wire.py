"""A client of ElevenLabs' WebSockets that checks every message."""

import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.types import Samples

Message = dict[str, Any]

ALIGNMENT = ["charDurationsMs", "charStartTimesMs", "chars", "charsDurationsMs"]
SINGLE = ["alignment", "audio", "isFinal", "normalizedAlignment"]
MULTI = ["alignment", "audio", "contextId", "context_id", "isFinal", "is_final", "normalizedAlignment"]
BOS = {"text": " "}
EOS = {"text": ""}


@dataclass(frozen=True)
class Character:
    """A character and its time, in milliseconds."""

    text: str
    start: int
    duration: int


@dataclass
class ReceivedSpeech:
    """The messages of one stream; their form is that of recorded ones.

    parts: audio, and the characters sent with it; normalized: the characters of the spoken form.
    """

    parts: list[tuple[bytes, list[Character]]] = field(default_factory=list)
    normalized: list[Character] = field(default_factory=list)
    final: bool = False
    error: Message | None = None

    def add(self, message: Message) -> None:
        if "error" in message:
            self.error = message
            return
        multi = "contextId" in message
        assert list(message) == (MULTI if multi else SINGLE), list(message)
        assert not self.final
        assert not multi or message["isFinal"] == message["is_final"]
        if message["isFinal"]:
            assert message["isFinal"] is True and message["audio"] is message["alignment"] is None
            assert message["normalizedAlignment"] is None
            self.final = True
            return
        assert message["isFinal"] is None
        characters = parse_alignment(message["alignment"]) if message["alignment"] is not None else []
        assert message["audio"] or characters
        if message["normalizedAlignment"] is not None:
            assert characters
            self.normalized += parse_alignment(message["normalizedAlignment"])
        self.parts.append((base64.b64decode(message["audio"] or "", validate=True), characters))

    @property
    def audio(self) -> bytes:
        return b"".join(data for data, _ in self.parts)

    @property
    def samples(self) -> Samples:
        return np.frombuffer(self.audio, "<i2").astype(np.float32) / 32768

    @property
    def text(self) -> str:
        return "".join(each.text for _, characters in self.parts for each in characters)

    def absolute(self) -> list[Character]:
        return [each for _, characters in self.parts for each in characters]

    def summed(self) -> list[Character]:
        found, since = [], 0
        for _, characters in self.parts:
            found += [Character(each.text, each.start + since, each.duration) for each in characters]
            if characters:
                since += characters[-1].start + characters[-1].duration
        return found

    def audio_relative(self, rate: int) -> list[Character]:
        found, bytes_before = [], 0
        for data, characters in self.parts:
            since = round(bytes_before / 2 / rate * 1000)
            found += [Character(each.text, each.start + since, each.duration) for each in characters]
            bytes_before += len(data)
        return found


def parse_alignment(alignment: Message) -> list[Character]:
    assert list(alignment) == ALIGNMENT and alignment["charDurationsMs"] == alignment["charsDurationsMs"]
    starts, durations = alignment["charStartTimesMs"], alignment["charDurationsMs"]
    assert all(type(time) is int for time in starts + durations)
    found = [Character(*each) for each in zip(alignment["chars"], starts, durations, strict=True)]
    assert found and all(len(each.text) == 1 and each.duration >= 0 for each in found)
    assert_tiles(found)
    return found


def assert_tiles(characters: Iterable[Character]) -> None:
    for one, following in pairwise(characters):
        assert following.start == one.start + one.duration, (one, following)


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.contexts: dict[str | None, ReceivedSpeech] = {}

    async def send(self, *messages: Message | str) -> None:
        for message in messages:
            await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def receive(self) -> Message:
        raw = await self.socket.recv()
        assert isinstance(raw, str)
        return json.loads(raw)

    async def receive_speech(self) -> Message:
        message = await self.receive()
        self.received(message.get("contextId")).add(message)
        return message

    def received(self, context_id: str | None = None) -> ReceivedSpeech:
        return self.contexts.setdefault(context_id, ReceivedSpeech())

    async def receive_text(self, begin: str = "", end: str = "") -> None:
        """Receive until the characters begin and end so."""
        while not (self.received().text.startswith(begin) and self.received().text.endswith(end)):
            await self.receive_speech()

    async def receive_until_final(self, *context_ids: str) -> list[ReceivedSpeech]:
        while not all(self.received(name).final for name in context_ids):
            await self.receive_speech()
        return [self.contexts.pop(name) for name in context_ids]

    async def receive_until_closed(self) -> tuple[int, str]:
        try:
            while True:
                await self.receive_speech()
        except ConnectionClosed as closed:
            return closed.rcvd.code, closed.rcvd.reason

    async def speak(self, *texts: str) -> ReceivedSpeech:
        await self.send(BOS, *({"text": text} for text in texts), EOS)
        ended = await self.receive_until_closed()
        heard = self.received()
        assert (ended, heard.final, heard.error) == ((1000, ""), True, None), (ended, heard.error)
        return heard


@asynccontextmanager
async def connect_client(
    url: str, name: str = "stream-input", voice: str = "espeak:es", headers: Any = None, **query: object
) -> AsyncIterator[Client]:
    asked = urlencode({"output_format": "pcm_22050", **query})
    address = f"{url}/v1/text-to-speech/{quote(voice)}/{name}?{asked}"
    async with connect(address, max_size=None, compression=None, additional_headers=headers) as socket:
        yield Client(socket)


@asynccontextmanager
async def connect_multi(url: str, voice: str = "espeak:es", **query: object) -> AsyncIterator[Client]:
    async with connect_client(url, "multi-stream-input", voice, **query) as client:
        yield client


def split_tokens(text: str) -> list[str]:
    """Return the words of a text as a language model yields them, each but the first with its space."""
    first, *more = text.split(" ")
    return [first, *(f" {word}" for word in more)]
