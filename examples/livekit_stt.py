"""Ears for LiveKit's agents: what a Kyutai server hears, in the shape that their framework asks for.

    session = AgentSession(stt=KyutaiSTT("ws://localhost:8001"), turn_handling={"turn_detection": "stt"}, ...)

Words come while they are said and are never taken back: each is an interim transcript of its turn so far. The
server also tells how likely it is that the speaker has ended, and that ends a turn. Copy this file
beside your agent; it needs ``livekit-agents`` and ``msgspec``.
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
PAUSE = 2  # of a Step's four probabilities: that of a pause of two seconds
PAUSED = 0.6  # above this the turn has ended: all its words have come by then
MUTED_S = 0.5  # a microphone that gives nothing for so long is silent
END = 1  # the number of the marker behind the last audio
SILENCE = np.zeros(FRAME, np.float32)


class Word(NamedTuple):
    """A word, and when it begins and ends, in seconds."""

    text: str
    start_s: float
    stop_s: float


class KyutaiSTT(stt.STT[str]):
    """What a Kyutai server hears.

    server: its address, ``ws://host:port``; key: one that it lets in; language: a tag (``es``), None where
    the server is to find out.
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
        """Whose protocol it is."""
        return "Kyutai"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """One speaker, heard from now on."""
        return _Stream(self, language if is_given(language) else self.language, conn_options)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        raise NotImplementedError("this hears streams; a recording can be sent to the server by POST")


class _Stream(stt.RecognizeStream):
    """Events while someone speaks: where a turn begins, its words so far, all of them, where it ends."""

    def __init__(self, ears: KyutaiSTT, language: str | None, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=ears, conn_options=conn_options, sample_rate=RATE)
        self._ears = ears
        self._language = LanguageCode(language or "")
        self._words: list[Word] = []
        self._turn = ""

    async def _run(self) -> None:
        """Hear until the input ends. Raises APIError, and the framework tries again where that helps."""
        query = {"language": str(self._language)} if self._language else {}
        headers = {"kyutai-api-key": self._ears.key}
        # Words of a turn that a lost connection did not hear to its end.
        self._words = []
        try:
            async with aiohttp.ClientSession() as http:
                async with asyncio.timeout(self._conn_options.timeout):
                    ws = await http.ws_connect(
                        self._ears.url, params=query, headers=headers, heartbeat=20, max_msg_size=0
                    )
                async with ws:
                    tasks = [asyncio.create_task(work) for work in (self._send(ws), self._receive(ws))]
                    try:
                        await asyncio.gather(*tasks)
                    finally:
                        await aio.cancel_and_wait(*tasks)
        except TimeoutError as error:
            raise APITimeoutError("the server that listens does not answer") from error
        except aiohttp.WSServerHandshakeError as error:
            raise APIStatusError(error.message, status_code=error.status) from error
        except aiohttp.ClientError as error:
            raise APIConnectionError(f"the server that listens cannot be reached: {error}") from error

    async def _send(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Send the input as it comes; behind its end a marker, and silence enough to hear it through."""
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
        """Tell what is heard, until the marker comes back."""
        # A connection's times begin at 0; those of a stream do not, where it is not the first one.
        before_s = self.start_time_offset
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            heard = msgspec.msgpack.decode(message.data)
            match heard["type"]:
                case "Word":
                    start_s = before_s + heard["start_time"]
                    self._words.append(Word(heard["text"], start_s, start_s))
                case "EndWord":
                    self._words[-1] = self._words[-1]._replace(stop_s=before_s + heard["stop_time"])
                    self._tell_word()
                case "Step" if heard["prs"][PAUSE] > PAUSED:
                    self._tell_end()
                case "Marker":
                    self._tell_end()
                    return
                case "Error":
                    raise APIConnectionError(f"the server that listens says: {heard['message']}")
        raise APIConnectionError(f"the server that listens has gone (close code {ws.close_code})")

    def _tell_word(self) -> None:
        if len(self._words) == 1:
            self._turn = shortuuid("turn_")
            self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH, self._turn))
        self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT)

    def _tell_end(self) -> None:
        if self._words:
            self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT)
            self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH, self._turn))
            self._words = []

    def _tell(self, kind: stt.SpeechEventType) -> None:
        said = stt.SpeechData(
            language=self._language,
            text=" ".join(word.text for word in self._words),
            start_time=self._words[0].start_s,
            end_time=self._words[-1].stop_s,
            words=[TimedString(word.text, word.start_s, word.stop_s) for word in self._words],
        )
        self._event_ch.send_nowait(stt.SpeechEvent(kind, self._turn, [said]))


def _mono(frame: rtc.AudioFrame) -> npt.NDArray[np.float32]:
    pcm = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    samples: npt.NDArray[np.float32] = pcm.mean(axis=1, dtype=np.float32) / 32768
    return samples


def _audio(samples: npt.NDArray[np.float32]) -> bytes:
    return msgspec.msgpack.encode({"type": "Audio", "pcm": samples.tolist()})
