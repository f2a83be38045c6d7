"""Unmute's backend: what it asks of a server that speaks and of one that listens."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import av
import httpx
import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK

from kani.core.types import Samples
from tests.clients.kyutai.wire import FRAME, FRAME_S, KEY, alongside, audio_message, pack


def _message(kind: str, **fields: Any) -> type[msgspec.Struct]:
    """Unmute's unions of messages raise for a type that is none of theirs."""
    return msgspec.defstruct(kind, [*fields.items()], tag_field="type", tag=kind, forbid_unknown_fields=True)


Ready = _message("Ready")
Error = _message("Error", message=str)
SpokenText = _message("Text", text=str, start_s=float, stop_s=float)
SpokenAudio = _message("Audio", pcm=list[float])
Word = _message("Word", text=str, start_time=float)
EndWord = _message("EndWord", stop_time=float)
Marker = _message("Marker", id=int)
Step = _message("Step", step_idx=int, prs=list[float], buffered_pcm=int)

_read_speech = msgspec.msgpack.Decoder(SpokenText | SpokenAudio | Error | Ready).decode
_read_heard = msgspec.msgpack.Decoder(Word | EndWord | Marker | Step | Error | Ready).decode


class AtCapacity(Exception):
    """The server sent Error where Ready was due."""


@dataclass
class Turn:
    """Messages for one answer of the language model, in order."""

    messages: list[SpokenText | SpokenAudio] = field(default_factory=list)

    @property
    def samples(self) -> Samples:
        pieces = [message.pcm for message in self.messages if isinstance(message, SpokenAudio)]
        return np.concatenate([np.zeros(0, np.float32), *pieces]).astype(np.float32)

    @property
    def words(self) -> list[SpokenText]:
        return [message for message in self.messages if isinstance(message, SpokenText)]


async def as_written(text: str, pause_s: float = 0.05) -> AsyncIterator[str]:
    """Words as a language model writes them."""
    for word in text.split():
        yield word
        await asyncio.sleep(pause_s)


class UnmuteSpeaker:
    """Unmute's TextToSpeech: a connection a turn, that has half a second to be ready."""

    ready_within_s = 0.5

    def __init__(self, url: str, voice: str | None = None, embedding: bytes | None = None) -> None:
        chosen = f"&voice={quote(voice, safe='')}" if voice else ""
        self._url = f"{url}/api/tts_streaming?format=PcmMessagePack{chosen}&cfg_alpha=1.5"
        self._embedding = embedding

    async def start_up(self) -> None:
        attempts = 0
        while True:
            attempts += 1
            try:
                async with asyncio.timeout(self.ready_within_s):
                    return await self._connect()
            except TimeoutError:
                if attempts == 5:
                    raise
                await asyncio.sleep(0.05 * 1.5**attempts)

    async def _connect(self) -> None:
        socket = await connect(self._url, additional_headers=KEY)
        if self._embedding is not None:
            await socket.send(self._embedding)
        for _ in range(10):
            message = _read_speech(await socket.recv(decode=False))
            if isinstance(message, Error):
                raise AtCapacity(message.message)
            if isinstance(message, Ready):
                self._socket = socket
                return
        raise AssertionError("no Ready among ten messages")

    async def say(self, words: AsyncIterator[str]) -> Turn:
        async def send() -> None:
            async for word in words:
                cleaned = word.translate(str.maketrans({"*": "", "_": "", "`": "", "’": "'"})).strip()
                if cleaned:
                    await self._socket.send(pack({"type": "Text", "text": cleaned}))
            await self._socket.send(pack({"type": "Eos"}))

        turn = Turn()
        async with alongside(send()) as sending:
            try:
                while True:
                    message = _read_speech(await self._socket.recv(decode=False))
                    # Messages without audio or word, and errors after the start, are ignored.
                    if isinstance(message, SpokenAudio) or (isinstance(message, SpokenText) and message.text):
                        turn.messages.append(message)
            except ConnectionClosedOK:
                await sending
        return turn

    async def first_sound(self, text: str) -> None:
        for word in text.split():
            await self._socket.send(pack({"type": "Text", "text": word}))
        while not isinstance(_read_speech(await self._socket.recv(decode=False)), SpokenAudio):
            pass

    async def interrupt(self) -> None:
        await self._socket.close()


class UnmuteListener:
    delay_s = 0.5

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/asr-streaming"
        self._steps = 0
        self._pause = 1.0
        self._now_s = -self.delay_s
        self._flushed_s: float | None = None
        self.words: list[str] = []

    async def start_up(self) -> None:
        self._socket = await connect(self._url, additional_headers=KEY)
        message = _read_heard(await self._socket.recv(decode=False))
        if isinstance(message, Error):
            raise AtCapacity(message.message)
        assert isinstance(message, Ready)
        self.broken = asyncio.create_task(self._listen(self._socket))

    async def _listen(self, socket: ClientConnection) -> None:
        async for packed in socket:
            assert isinstance(packed, bytes)
            message = _read_heard(packed)
            if isinstance(message, Step):
                self._steps += 1
                self._now_s += FRAME_S
                if self._steps > 12:
                    # An average over 0.01 s: with steps of 0.08 s the value itself.
                    self._pause += (1 - np.exp(-FRAME_S / 0.01)) * (message.prs[2] - self._pause)
            elif isinstance(message, Word) and message.text:
                if not self.words:
                    self._pause = 0.0
                self.words.append(message.text)
            else:
                assert isinstance(message, Word | EndWord | Marker), message

    async def hear(self, frame: Samples) -> bool:
        """A frame of the user's; whether the turn is over, and what was said is to be answered."""
        if self.broken.done():
            self.broken.result()
        await self._socket.send(audio_message(frame))
        if self._flushed_s is not None:
            return self._now_s > self._flushed_s
        if self.words and self._pause > 0.6:
            self._flushed_s = self._now_s + self.delay_s
            for _ in range(8):
                await self._socket.send(audio_message(np.zeros(FRAME, np.float32)))
        return False

    async def shut_down(self) -> None:
        await self._socket.close()
        await self.broken


async def unmute_is_healthy(http_url: str) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{http_url}/api/build_info")).status_code == 200


async def unmute_clones(http_url: str, recording: bytes) -> bytes:
    """Unmute's tts/voice_cloning.py: a recording's bytes, and no key; what comes back it never looks into."""
    kind = {"Content-Type": "application/octet-stream"}
    async with httpx.AsyncClient(timeout=None) as client:
        answer = await client.post(f"{http_url}/api/voice", content=recording, headers=kind)
    assert answer.status_code == 200
    return answer.content


async def unmute_sample(url: str, text: str) -> Samples:
    """Unmute's tts/voices.py: the default format, words as text frames, a zero byte at the end."""
    pages = b""
    async with connect(f"{url}/api/tts_streaming", additional_headers=KEY) as socket:
        for word in text.split():
            await socket.send(word)
        await socket.send(b"\0")
        async for page in socket:
            assert isinstance(page, bytes)
            pages += page
    with av.open(io.BytesIO(pages), format="ogg") as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(frames)[::2]
