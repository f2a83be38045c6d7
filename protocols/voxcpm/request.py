"""One request of VoxCPM's protocol, spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from protocols.shared.cloning_report import cloning_fields
from protocols.shared.memory_budget import MemoryBudget
from protocols.voxcpm import frames, messages
from protocols.voxcpm.frames import AudioPiece, FrameWriter, Pieces
from protocols.voxcpm.messages import failure_for, progress
from protocols.voxcpm.meter import Meter
from protocols.voxcpm.params import RECORDING_PARAMS, STREAMING, VOICE_ID, Params
from protocols.voxcpm.remote_recordings import RemoteRecordings
from protocols.voxcpm.settings import VoxCPMSettings
from protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder
from speech.audio import decoding
from speech.audio.pcm import REFERENCE_RATE, decode_recording, pcm16
from speech.errors import InvalidRequest, SpeechError, UnknownVoice
from speech.service import SpeechService
from speech.session.context import Prepare
from speech.session.session import SpeechSession
from speech.timing.spans import span_rows
from speech.types import Recording, SpeechChunk, SpeechRequest

PROTOCOL = "voxcpm"

MAX_WHOLE_ANSWER_S = 1200.0
"""The longest answer that is sent whole; longer speech is for streams, which keep nothing."""

MAX_WHOLE_ANSWER_BYTES = 512 * 2**20
"""And how much such audio there may be at once, all clients' together."""

ENCODE_IN_THREAD_BYTES = 2**20
"""An answer with more audio than this is encoded in a thread, so that nobody else waits for it."""

CHUNKS_PER_PROGRESS = 5


@dataclass(frozen=True, slots=True)
class SharedState:
    """What every connection shares."""

    service: SpeechService
    settings: VoxCPMSettings
    meter: Meter
    voice_folder: VoiceFolder
    remote_recordings: RemoteRecordings
    whole_answer_budget: MemoryBudget


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What every request of a connection shares.

    client: whose rate they count towards; timeout_s: how long the client would wait for one, if it said
    so; languages: those that its handshake tells of, where a request tells none; heavy: held by a request
    while it keeps a recording or a whole answer in memory.
    """

    shared: SharedState
    client: str
    timeout_s: float | None
    languages: tuple[str, ...]
    heavy_slots: asyncio.Semaphore
    send: Callable[[str | bytes], Awaitable[None]]


class RequestRunner:
    """Speaks one request: sends its progress, its audio, and how it ended.

    finish: sends the last message, from where on the request cannot be cancelled; it is told before whether
    that is "success" or "failed".
    """

    def __init__(
        self,
        visit: ConnectionContext,
        request_id: str,
        params: Params,
        finish: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._visit = visit
        self._id = request_id
        self._params = params
        self._finish = finish
        self._chunks = 0
        self._samples = 0
        self._source: str | None = None
        self.started = False
        """Whether it has left the queue."""

    async def run(self) -> None:
        """Speak it to its end."""
        async with AsyncExitStack() as stack:
            try:
                voice, request = await self._voice_and_request()
                await self._speak(request, self._preparation(voice, stack))
            except SpeechError as error:
                await self._fail(error)

    async def _fail(self, error: SpeechError) -> None:
        failure = failure_for(error, self._source or VOICE_ID)
        self._visit.shared.meter.error_sent(failure.code)
        await self._finish("failed", messages.error(self._id, failure))

    async def _voice_and_request(self) -> tuple[FolderVoice | None, SpeechRequest]:
        """The voice of the folder that is named, if one is, and the core's request. Raises InvalidRequest.

        A voice of this server comes first, as the list of voices has it.
        """
        params, house = self._params, self._visit.shared
        try:
            house.service.catalogue.language_of(params.voice)
        except UnknownVoice as unknown:
            voice = await asyncio.to_thread(house.voice_folder.get, unknown.voice)
            if voice is None:
                raise
            self._source = VOICE_ID
            return voice, params.to_request(None, None, voice.sample_text)
        self._source = next((name for name in RECORDING_PARAMS if getattr(params, name) is not None), None)
        return None, params.to_request(params.voice, None, "")

    def _preparation(self, voice: FolderVoice | None, stack: AsyncExitStack) -> Prepare | None:
        """What the session waits for before it speaks: a turn, if much is to be held, and the recording."""
        if self._params.mode == STREAMING and self._source is None:
            return None
        params, house, heavy = self._params, self._visit.shared, self._visit.heavy_slots

        async def prepare() -> Recording | None:
            await heavy.acquire()
            stack.callback(heavy.release)
            if voice is not None:
                data = await asyncio.to_thread(house.voice_folder.read, voice)
            elif params.prompt_wav_url is not None:
                data = await house.remote_recordings.fetch(params.prompt_wav_url)
            elif params.prompt_wav_path is not None:
                data = await asyncio.to_thread(house.voice_folder.recording, params.prompt_wav_path)
            else:
                return None
            return await decoding.run_in_pool(
                decoding.RECORDING_POOL, decode_recording, data, sample_rate=REFERENCE_RATE
            )

        return prepare

    async def _speak(self, request: SpeechRequest, prepare: Prepare | None) -> None:
        request = replace(request, languages=request.languages or self._visit.languages)
        session = self._visit.shared.service.open(
            request,
            protocol=PROTOCOL,
            client=self._visit.client,
            low_latency=self._params.mode == STREAMING,
            # The protocol's own limit was looked at; the spaces around a text are none of it.
            max_text=len(self._params.text),
            timeout_s=self._visit.timeout_s,
            prepare=prepare,
            clones=self._source is not None,
        )
        # The session stays open until the last message is sent: a server that stops waits for it.
        async with session:
            try:
                result = await self._spoken(session)
            except SpeechError as error:
                session.fail(error)
                await self._fail(error)
                return
            await self._finish("success", messages.complete(self._id, result))

    async def _spoken(self, session: SpeechSession) -> dict[str, Any]:
        """Send all but the last message; what that tells of the speech."""
        meter = self._visit.shared.meter
        session.feed(self._params.text)
        session.finish()
        await self._progress("queued", 0.0, "Request queued")
        async for position in session.queue_positions():
            await self._tell_position(position)
        self.started = True
        meter.request_started()
        await self._progress("processing", 0.0, "Processing request")
        await (self._stream(session) if self._params.mode == STREAMING else self._whole(session))
        meter.request_spoken(session.duration_s)
        return self._result(session)

    async def _tell_position(self, position: int) -> None:
        message = f"Request queued, number {position} in line"
        await self._visit.send(progress(self._id, "queued", 0.0, message, position=position))

    async def _progress(self, state: str, share: float, message: str) -> None:
        await self._visit.send(progress(self._id, state, share, message))

    async def _stream(self, session: SpeechSession) -> None:
        await self._progress("generating", 0.1, "Generating audio...")
        stream: FrameWriter | None = None
        async for piece in _pieces(aiter(session)):
            if stream is None:
                stream = FrameWriter(self._id, session.resolved_voice.engine.info.sample_rate)
            await self._visit.send(stream.write(piece))
            self._samples += len(piece.samples)
            self._chunks += 1
            if self._chunks % CHUNKS_PER_PROGRESS == 0:
                share = 0.1 + min(0.7, 0.01 * self._chunks)
                await self._progress("generating", share, f"Generated {self._chunks} chunks...")

    async def _whole(self, session: SpeechSession) -> None:
        await self._progress("generating", 0.5, "Generating audio...")
        with self._visit.shared.whole_answer_budget.reservation() as held:
            pcm, spans = bytearray(), []
            async for chunk in session:
                held.grow(2 * len(chunk.samples))
                pcm += pcm16(chunk.samples)
                spans += span_rows(chunk.spans)
                if len(pcm) > 2 * chunk.sample_rate * MAX_WHOLE_ANSWER_S:
                    limit = f"{MAX_WHOLE_ANSWER_S:g} s, use mode 'streaming'"
                    raise InvalidRequest("text", f"its speech is too long for one answer (at most {limit})")
            await self._progress("encoding", 0.9, "Encoding audio...")
            self._chunks, self._samples = 1, len(pcm) // 2
            rate = session.resolved_voice.engine.info.sample_rate
            write = partial(frames.encode_whole_answer, self._id, rate, spans, pcm)
            answer = await asyncio.to_thread(write) if len(pcm) > ENCODE_IN_THREAD_BYTES else write()
            # What waits on the line is one copy, not two.
            pcm.clear()
            await self._visit.send(answer)

    def _result(self, session: SpeechSession) -> dict[str, Any]:
        params, speaker = self._params, session.resolved_voice
        rate = speaker.engine.info.sample_rate
        # What is said in a folder's recording was not given by the client.
        unused = [name for name in session.unused_fields if name != "prompt_text" or name in params.options]
        unused += [
            name for name in RECORDING_PARAMS if getattr(params, name) is not None and name != self._source
        ]
        return {
            "duration": self._samples / rate,
            "sample_rate": rate,
            "samples": self._samples,
            "chunks": self._chunks,
            "engine": speaker.engine.info.name,
            "voice": speaker.voice,
            "language": speaker.language,
            "passages": [asdict(passage) for passage in session.foreign_passages],
            **cloning_fields(session),
            "unused": [*unused, *params.unknown],
            "truncated": session.truncated,
        }


async def _pieces(chunks: AsyncIterator[SpeechChunk]) -> AsyncIterator[AudioPiece]:
    """What a frame each holds, of the chunks of a session."""
    pieces: Pieces | None = None
    async for chunk in chunks:
        if pieces is None:
            pieces = Pieces(chunk.sample_rate)
        for piece in pieces.feed(chunk):
            yield piece
    if pieces is not None:
        yield pieces.finish()
