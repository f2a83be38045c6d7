"""ElevenLabs' ``stream-input`` and ``/v1/voices`` on this machine, after recordings of the real service.

The frames have the recorded keys, order, nulls, added spaces, adjacent times, refusals and closing; it
speaks tones. Tests answer a WebSocket themselves by ``answers``, or change outgoing frames by ``change``.
"""

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "sk_0123456789abcdef"
VOICE = "21m00Tcm4TlvDq8ikWAM"
OTHER_VOICE = "EXAVITQu4vr4xnSDxMaL"
RATE = 24_000
LETTER_S = 0.05
PIECE_S = 0.25
SCHEDULE = (120, 160, 250, 290)

_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.CRITICAL)

Frame = dict[str, Any]
Spoken = tuple[bytes, list[float]]
"""PCM, 16 bit at ``RATE``, and when each character begins, in seconds."""

VOICES = {
    "voices": [
        {"voice_id": VOICE, "name": "Rachel", "category": "premade", "labels": {"gender": "female"}},
        {"voice_id": OTHER_VOICE, "name": "Sarah", "category": "premade", "labels": {"gender": "female"}},
        {"voice_id": "../../../etc", "name": "Nobody", "category": "premade", "labels": {}},
        {"name": "Nameless"},
    ]
}


def fault(error: str, message: str) -> Frame:
    return {"code": 1008, "error": error, "message": message}


INVALID_KEY = fault("invalid_api_key", "Invalid API key")
NO_VOICE = fault("voice_id_does_not_exist", f"A voice with voice_id {VOICE} does not exist.")
QUOTA = "This request exceeds your quota of 10000. You have 3 credits remaining."
NO_CREDITS = fault("quota_exceeded", QUOTA)
UNUSUAL = fault("detected_unusual_activity", "Unusual activity detected. Free Tier usage disabled.")
NO_TEXT = "Have not received a new text input within the timeout of 20.0 seconds. Streaming input terminated."
NO_TEXT_IN_TIME = fault("input_timeout_exceeded", NO_TEXT)
FINAL: Frame = {"alignment": None, "audio": None, "isFinal": True, "normalizedAlignment": None}


def detail(code: str, message: str) -> bytes:
    fields = {"code": code, "message": message, "request_id": "r1", "status": code, "type": "error"}
    return json.dumps({"detail": fields}).encode()


def tone(text: str) -> Spoken:
    """A sound of ``LETTER_S`` for every character, each of its own pitch; spaces too."""
    count = round(LETTER_S * RATE)
    time_s = np.arange(count) / RATE
    letters = [0.5 * np.sin(2 * np.pi * (200 + ord(letter) % 200) * time_s + 0.5) for letter in text]
    samples = np.concatenate([np.zeros(0), *letters])
    return (samples * 32767).astype("<i2").tobytes(), [index * LETTER_S for index in range(len(text))]


@dataclass
class Exchange:
    """A WebSocket that was opened, and the messages of its client."""

    socket: ServerConnection
    path: str
    query: dict[str, str]
    headers: Headers
    received: list[Frame] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None

    @property
    def text(self) -> str:
        """All text received, without keep-alives."""
        return "".join(frame["text"] for frame in self.received if frame["text"] != " ")

    async def send(self, frame: Frame | str | bytes) -> None:
        await self.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def refuse(self, frame: Frame) -> None:
        await self.send(frame)
        await self.socket.close(1008, frame["message"].encode()[:123].decode())


Answer = Callable[[Exchange], Awaitable[None]]
Change = Callable[[Frame, int], list[Frame | str | bytes]]


class ElevenLabsService:
    """Each of ``answers`` answers one of the next WebSockets; ``change`` replaces outgoing frames."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.answers: list[Answer] = []
        self.refusals: list[Response] = []
        self.voices = Response(200, "OK", Headers(), json.dumps(VOICES).encode())
        self.voices_asked: list[Headers] = []
        self.change: Change = lambda frame, number: [frame]
        self.opened = asyncio.Event()
        self.url = ""

    async def conversation(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        parts = urlsplit(socket.request.path)
        exchange = Exchange(socket, parts.path, dict(parse_qsl(parts.query)), socket.request.headers)
        self.exchanges.append(exchange)
        self.opened.set()
        try:
            if exchange.headers.get("xi-api-key") != KEY:
                await exchange.refuse(INVALID_KEY)
            else:
                await (self.answers.pop(0) if self.answers else self.speak)(exchange)
            await socket.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            exchange.code = socket.close_code
            exchange.gone.set()

    async def speak(self, exchange: Exchange) -> None:
        """Speak as the real service does, and close."""
        said_s, number = 0.0, 0
        async for text in pieces(exchange):
            audio, starts = tone(text)
            for frame in frames(text, audio, starts, exchange.query.get("sync_alignment") == "true", said_s):
                for changed in self.change(frame, number):
                    await exchange.send(changed)
                number += 1
            said_s += len(audio) / (2 * RATE)
        for changed in self.change(FINAL, -1):
            await exchange.send(changed)
        await exchange.socket.close(1000, "")

    def process(self, socket: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path == "/v1/voices":
            self.voices_asked.append(request.headers)
            if request.headers.get("xi-api-key") != KEY:
                return Response(401, "Unauthorized", Headers(), detail("invalid_api_key", "Invalid API key"))
            return self.voices
        return self.refusals.pop(0) if self.refusals else None


async def pieces(exchange: Exchange) -> AsyncIterator[str]:
    """Yield the text in pieces by the client's schedule, each with a space after it."""
    schedule = list(SCHEDULE)
    waiting = ""
    async for raw in exchange.socket:
        assert isinstance(raw, str)
        frame = json.loads(raw)
        exchange.raw.append(raw)
        exchange.received.append(frame)
        schedule = list(frame.get("generation_config", {}).get("chunk_length_schedule", schedule))
        ended = frame["text"] == ""
        waiting += frame["text"].removeprefix(" ") if not waiting else frame["text"]
        wanted = schedule[0] if schedule else SCHEDULE[-1]
        if waiting.strip() and (ended or frame.get("flush") or len(waiting) >= wanted):
            yield waiting.rstrip() + " "
            waiting = ""
            schedule = schedule[1:] or schedule
        if ended:
            return


def frames(text: str, audio: bytes, starts: list[float], synchronous: bool, said_s: float) -> Iterator[Frame]:
    """Yield a piece; synchronous: each message with its times, else all times with the first message."""
    length_s = len(audio) / (2 * RATE)
    edges = [round(start * 1000) for start in starts] + [round(length_s * 1000)]
    step = round(PIECE_S * RATE) * 2
    for at in range(0, len(audio), step):
        piece = audio[at : at + step]
        alignment = None
        if synchronous:
            begin_ms, end_ms = at / (2 * RATE) * 1000, (at + len(piece)) / (2 * RATE) * 1000
            chosen = [index for index in range(len(text)) if begin_ms <= edges[index] < end_ms]
            alignment = _alignment(text, edges, chosen, round(said_s * 1000)) if chosen else None
        elif at == 0:
            alignment = _alignment(text, edges, list(range(len(text))), 0)
        normalized = alignment and {
            name: [alignment[name][0] if name != "chars" else " ", *alignment[name]] for name in alignment
        }
        encoded = base64.b64encode(piece).decode()
        yield {"alignment": alignment, "audio": encoded, "isFinal": None, "normalizedAlignment": normalized}


def _alignment(text: str, edges: list[int], chosen: list[int], base_ms: int) -> Frame:
    return {
        "charDurationsMs": [edges[index + 1] - edges[index] for index in chosen],
        "charStartTimesMs": [base_ms + edges[index] for index in chosen],
        "chars": [text[index] for index in chosen],
    }


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None) -> AsyncIterator[ElevenLabsService]:
    """Run the service on a free port; tls: its certificate, for localhost."""
    service = ElevenLabsService()
    async with serve(
        service.conversation,
        "127.0.0.1" if tls is None else "localhost",
        0,
        process_request=service.process,
        ping_interval=None,
        ssl=tls,
        logger=_quiet,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        service.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        yield service
