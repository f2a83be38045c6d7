"""One request of VoxCPM's protocol: queued, spoken, and answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from kani.core.audio import decoding
from kani.core.audio.pcm import REFERENCE_RATE, decode_recording
from kani.core.audio.resampling import Rechunker
from kani.core.errors import SpeechError, UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.context import Prepare, Terms
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import Recording, SpeechChunk, SpeechRequest
from kani.protocols.shared.cloning_report import cloning_fields
from kani.protocols.shared.whole_answer import WholeAnswer
from kani.protocols.voxcpm import messages
from kani.protocols.voxcpm.messages import HOLD_BACK_S, MAX_PAYLOAD_BYTES, FrameWriter, failure_for, progress
from kani.protocols.voxcpm.params import RECORDING_PARAMS, RETRIES, STREAMING, VOICE_ID, Options, Params
from kani.protocols.voxcpm.remote_recordings import RemoteRecordings
from kani.protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder

PROTOCOL = "voxcpm"

CHUNKS_PER_PROGRESS = 5
"""Frames of a stream between two progress messages."""


@dataclass(frozen=True, slots=True)
class SharedState:
    service: SpeechService
    max_text: int  # characters of one request
    voice_folder: VoiceFolder
    remote_recordings: RemoteRecordings


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """State shared by the requests of one connection."""

    shared: SharedState
    client: str  # address that the rate limit counts by
    timeout_s: float | None  # the client's own timeout for a request
    languages: tuple[str, ...]  # of the handshake's Accept-Language, for requests without any
    memory: LanguageMemory
    heavy_slots: asyncio.Semaphore  # held while a request has a recording or a whole answer in memory
    send: Callable[[str | bytes], Awaitable[None]]


@dataclass(eq=False)
class RequestRunner:
    """Runs one request: sends its progress, its audio, and its last message.

    finish: sends the last message; the request cannot be cancelled any more once it is called.
    """

    _context: ConnectionContext
    _id: str
    _params: Params
    _finish: Callable[[str], Awaitable[None]]
    _chunks: int = 0
    _samples: int = 0
    _source: str | None = None  # the parameter that names a recording, if one does

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                voice, request = await self._voice_and_request()
                await self._speak(request, self._preparation(voice, stack))
            except SpeechError as error:
                await self._fail(error)

    async def _fail(self, error: SpeechError) -> None:
        failure = failure_for(error, self._source or VOICE_ID)
        await self._finish(messages.error(self._id, failure))

    async def _voice_and_request(self) -> tuple[FolderVoice | None, SpeechRequest]:
        """Return the voice of the folder, if one is named, and the core's request. Raises InvalidRequest.

        A voice of this server takes precedence over one of the folder, as in the list of voices.
        """
        params, shared = self._params, self._context.shared
        try:
            shared.service.catalogue.find(params.voice)
        except UnknownVoice as unknown:
            voice = await asyncio.to_thread(shared.voice_folder.get, unknown.voice)
            if voice is None:
                raise
            self._source = VOICE_ID
            return voice, params.to_request(None, None, voice.sample_text)
        self._source = next((name for name in RECORDING_PARAMS if getattr(params, name) is not None), None)
        return None, params.to_request(params.voice, None, "")

    def _preparation(self, voice: FolderVoice | None, stack: AsyncExitStack) -> Prepare | None:
        """Return what the session awaits before it speaks: a heavy slot, and the recording if any."""
        if self._params.mode == STREAMING and self._source is None:
            return None
        params, shared, heavy_slots = self._params, self._context.shared, self._context.heavy_slots

        async def prepare() -> Recording | None:
            await heavy_slots.acquire()
            stack.callback(heavy_slots.release)
            if voice is not None:
                data = await asyncio.to_thread(shared.voice_folder.read, voice)
            elif params.prompt_wav_url is not None:
                data = await shared.remote_recordings.fetch(params.prompt_wav_url)
            elif params.prompt_wav_path is not None:
                data = await asyncio.to_thread(shared.voice_folder.recording, params.prompt_wav_path)
            else:
                return None
            return await decoding.run_in_pool(
                decoding.RECORDING_POOL, decode_recording, data, sample_rate=REFERENCE_RATE
            )

        return prepare

    async def _speak(self, request: SpeechRequest, prepare: Prepare | None) -> None:
        request = replace(request, languages=request.languages or self._context.languages)
        session = self._context.shared.service.open(
            request,
            protocol=PROTOCOL,
            client=self._context.client,
            memory=self._context.memory,
            terms=Terms(
                low_latency=self._params.mode == STREAMING,
                # The protocol's own limit was checked; it does not count white space around a text.
                max_text=len(self._params.text),
                timeout_s=self._context.timeout_s,
                prepare=prepare,
                clones=self._source is not None,
            ),
        )
        # The session stays open until the last message is sent: a server that stops waits for open sessions.
        async with session:
            try:
                result = await self._send_speech(session)
            except SpeechError as error:
                session.fail(error)
                await self._fail(error)
                return
            await self._finish(messages.complete(self._id, result))

    async def _send_speech(self, session: SpeechSession) -> dict[str, Any]:
        """Send everything but the last message; return its result."""
        session.feed(self._params.text)
        session.finish()
        await self._progress("queued", 0.0, "Request queued")
        async for position in session.queue_positions():
            await self._progress(
                "queued", 0.0, f"Request queued, number {position} in line", position=position
            )
        await self._progress("processing", 0.0, "Processing request")
        await (self._stream(session) if self._params.mode == STREAMING else self._send_whole(session))
        return self._result(session)

    async def _progress(self, state: str, fraction: float, message: str, **more: int) -> None:
        await self._context.send(progress(self._id, state, fraction, message, **more))

    async def _stream(self, session: SpeechSession) -> None:
        await self._progress("generating", 0.1, "Generating audio...")
        writer: FrameWriter | None = None
        async for chunk, final in _frame_chunks(aiter(session)):
            writer = writer or FrameWriter(self._id, chunk.sample_rate, _speaker(session))
            await self._context.send(writer.write(chunk, final=final))
            self._samples += len(chunk.samples)
            self._chunks += 1
            if self._chunks % CHUNKS_PER_PROGRESS == 0:
                fraction = 0.1 + min(0.7, 0.01 * self._chunks)
                await self._progress("generating", fraction, f"Generated {self._chunks} chunks...")

    async def _send_whole(self, session: SpeechSession) -> None:
        await self._progress("generating", 0.5, "Generating audio...")
        budget = self._context.shared.service.budgets.whole_answers
        with budget.share("use mode 'streaming'") as memory:
            whole = WholeAnswer(memory)
            async for chunk in session:
                await whole.add(chunk)
            await self._progress("encoding", 0.9, "Encoding audio...")
            self._chunks, self._samples = 1, whole.samples
            rate = session.resolved_voice.engine.info.sample_rate

            def encode() -> bytes:
                return messages.encode_whole_answer(self._id, rate, whole.spans, whole.finish())

            answer = await asyncio.to_thread(encode) if whole.is_large else encode()
            # The samples are freed by now: one copy waits on the line, not two.
            await self._context.send(answer)

    def _result(self, session: SpeechSession) -> dict[str, Any]:
        params, voice = self._params, session.resolved_voice
        rate = voice.engine.info.sample_rate
        # Others are the transcript of a folder's recording, and the default of a parameter.
        given = params.options
        unused = [
            name for name in session.unused_fields if name not in Options.__struct_fields__ or name in given
        ]
        if params.mode == STREAMING:
            unused += [name for name in RETRIES if name in given]
        unused.sort()
        unused += [
            name for name in RECORDING_PARAMS if getattr(params, name) is not None and name != self._source
        ]
        return {
            "duration": self._samples / rate,
            "sample_rate": rate,
            "samples": self._samples,
            "chunks": self._chunks,
            **_speaker(session),
            "passages": [asdict(passage) for passage in session.foreign_passages],
            **cloning_fields(session),
            "unused": [*unused, *params.unknown],
            "truncated": session.truncated,
        }


def _speaker(session: SpeechSession) -> dict[str, str]:
    """Return the fields that say what speaks; known from the first chunk on."""
    voice = session.resolved_voice
    return {
        "engine": voice.engine.info.name,
        "voice": voice.voice,
        "language": voice.language,
        "cloning": session.cloning_kind,
    }


async def _frame_chunks(chunks: AsyncIterator[SpeechChunk]) -> AsyncIterator[tuple[SpeechChunk, bool]]:
    """Yield the content of each frame of a stream, and whether it is the last frame."""
    cut: Rechunker | None = None
    async for chunk in chunks:
        if cut is None:
            hold_back = round(HOLD_BACK_S * chunk.sample_rate)
            cut = Rechunker(chunk.sample_rate, MAX_PAYLOAD_BYTES // 2, hold_back=hold_back)
        for ready in cut.feed(chunk):
            yield ready, False
    if cut is not None:
        *others, last = cut.finish()
        for rest in others:
            yield rest, False
        yield last, True
