"""Speech recognition for LiveKit's agents by a Kyutai server.

    session = AgentSession(stt=KyutaiSTT("ws://localhost:8001"), turn_handling={"turn_detection": "stt"}, ...)

Words arrive while they are spoken and are final: each gives an interim transcript of its turn so far. A turn
ends by the server's probability that the speaker has paused. Copy this file beside your agent; it needs
``livekit-agents`` and ``msgspec``.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

try:
    import aiohttp
    import msgspec
    import numpy as np
    import numpy.typing as npt
    from livekit import rtc
    from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError, stt
    from livekit.agents.language import LanguageCode
    from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr, TimedString
    from livekit.agents.utils import AudioBuffer, aio, is_given, shortuuid
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    raise SystemExit(f"{__doc__}\n{missing}: pip install livekit-agents msgspec") from missing

RATE = 24_000  # hertz
FRAME = 1920  # samples of a message: 80 ms
PAUSE = 2  # index in a Step's four probabilities: a pause of two seconds
PAUSED = 0.6  # probability above which the turn has ended: all its words have arrived by then
MUTED_S = 0.5  # time without a frame after which silence is sent for a muted microphone
END = 1  # id of the marker after the last audio
SILENCE = np.zeros(FRAME, np.float32)


class Word(NamedTuple):
    """A recognized word and its times in seconds."""

    text: str
    start_s: float
    stop_s: float


class KyutaiSTT(stt.STT[str]):
    """Recognition by a Kyutai server.

    server: its address, ``ws://host:port``; key: its API key; language: a tag (``es``), None to detect it.
    """

    def __init__(
        self, server: str = "ws://localhost:8001", *, key: str = "public_token", language: str | None = None
    ) -> None:
        capabilities = stt.STTCapabilities(
            streaming=True, interim_results=True, aligned_transcript="word", offline_recognize=False
        )
        super().__init__(capabilities=capabilities)
        self.url = f"{server}/api/asr-streaming"
        self.key = key
        self.language = language

    @property
    def provider(self) -> str:
        """Name of the protocol."""
        return "Kyutai"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Start a stream of recognition for one speaker."""
        return _Stream(self, language if is_given(language) else self.language, conn_options)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        raise NotImplementedError("only streams are recognized; send recordings to the server by POST")


class _Stream(stt.RecognizeStream):
    """Emits the start of each turn, interim transcripts, the final one, and the end of the turn."""

    def __init__(self, recognizer: KyutaiSTT, language: str | None, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=recognizer, conn_options=conn_options, sample_rate=RATE)
        self._recognizer = recognizer
        self._language = LanguageCode(language or "")
        self._words: list[Word] = []
        self._turn = ""

    async def _run(self) -> None:
        """Recognize until the input ends. Raises APIError; the framework retries the retryable ones."""
        query = {"language": str(self._language)} if self._language else {}
        headers = {"kyutai-api-key": self._recognizer.key}
        # Discards the words of a turn that a lost connection has interrupted.
        self._words = []
        try:
            async with aiohttp.ClientSession() as http:
                async with asyncio.timeout(self._conn_options.timeout):
                    ws = await http.ws_connect(
                        self._recognizer.url, params=query, headers=headers, heartbeat=20, max_msg_size=0
                    )
                async with ws:
                    tasks = [asyncio.create_task(work) for work in (self._send(ws), self._receive(ws))]
                    try:
                        await asyncio.gather(*tasks)
                    finally:
                        await aio.cancel_and_wait(*tasks)
        except TimeoutError as error:
            raise APITimeoutError("the speech recognition server does not answer") from error
        except aiohttp.WSServerHandshakeError as error:
            raise APIStatusError(error.message, status_code=error.status) from error
        except aiohttp.ClientError as error:
            raise APIConnectionError(f"the speech recognition server cannot be reached: {error}") from error

    async def _send(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Send the input, then a marker and the silence that the recognizer needs to finish."""
        rest = np.zeros(0, np.float32)
        while True:
            try:
                async with asyncio.timeout(MUTED_S):
                    given = await self._input_ch.recv()
            except TimeoutError:
                rest = np.concatenate([rest, np.zeros(round(MUTED_S * RATE), np.float32)])
            except aio.ChanClosed:
                break
            else:
                if isinstance(given, rtc.AudioFrame):
                    rest = np.concatenate([rest, _mono(given)])
            while len(rest) >= FRAME:
                await ws.send_bytes(_audio(rest[:FRAME]))
                rest = rest[FRAME:]
        await ws.send_bytes(_audio(rest))
        await ws.send_bytes(msgspec.msgpack.encode({"type": "Marker", "id": END}))
        for _ in range(3 * RATE // FRAME):
            await ws.send_bytes(_audio(SILENCE))

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Emit events until the server returns the marker."""
        # Times of a connection begin at 0; after a reconnection the stream has an offset.
        before_s = self.start_time_offset
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            event = msgspec.msgpack.decode(message.data)
            match event["type"]:
                case "Word":
                    start_s = before_s + event["start_time"]
                    self._words.append(Word(event["text"], start_s, start_s))
                case "EndWord":
                    self._words[-1] = self._words[-1]._replace(stop_s=before_s + event["stop_time"])
                    self._emit_word()
                case "Step" if event["prs"][PAUSE] > PAUSED:
                    self._emit_end()
                case "Marker":
                    self._emit_end()
                    return
                case "Error":
                    raise APIConnectionError(f"error of the speech recognition server: {event['message']}")
        raise APIConnectionError(f"the speech recognition server has gone (close code {ws.close_code})")

    def _emit_word(self) -> None:
        if len(self._words) == 1:
            self._turn = shortuuid("turn_")
            self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH, self._turn))
        self._emit(stt.SpeechEventType.INTERIM_TRANSCRIPT)

    def _emit_end(self) -> None:
        if self._words:
            self._emit(stt.SpeechEventType.FINAL_TRANSCRIPT)
            self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH, self._turn))
            self._words = []

    def _emit(self, kind: stt.SpeechEventType) -> None:
        transcript = stt.SpeechData(
            language=self._language,
            text=" ".join(word.text for word in self._words),
            start_time=self._words[0].start_s,
            end_time=self._words[-1].stop_s,
            words=[TimedString(word.text, word.start_s, word.stop_s) for word in self._words],
        )
        self._event_ch.send_nowait(stt.SpeechEvent(kind, self._turn, [transcript]))


def _mono(frame: rtc.AudioFrame) -> npt.NDArray[np.float32]:
    pcm = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    samples: npt.NDArray[np.float32] = pcm.mean(axis=1, dtype=np.float32) / 32768
    return samples


def _audio(samples: npt.NDArray[np.float32]) -> bytes:
    return msgspec.msgpack.encode({"type": "Audio", "pcm": samples.tolist()})
