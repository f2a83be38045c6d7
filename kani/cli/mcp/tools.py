"""The tools: speak, listen, transcribe and voices, each by the library."""

import asyncio
import importlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, ListRoots, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, ListRootsRequest, ListRootsResult
from pydantic import Field, ValidationError

from kani.cli.mcp.files import ANSWER_S, FileRefused, Files
from kani.cli.sound import CommandFailed, Output, find_player
from kani.core.audio.pcm import pcm16
from kani.core.errors import SpeechError
from kani.core.request import MAX_TEXT
from kani.core.types import Samples
from kani.library.asynchronous import AsyncRecognizer, AsyncSpeech
from kani.library.results import codec_of
from kani_text.languages import primary, resolve
from websocket_config import VERSION

RATE = 16_000
PIECE = 1280
"""Samples of a piece: 80 ms."""


async def microphone(seconds: float) -> AsyncIterator[Samples]:
    """Yield pieces of ``PIECE`` samples at ``RATE`` hertz for some seconds. Raises CommandFailed."""
    try:
        sounddevice: Any = importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        raise CommandFailed(f"no microphone: pip install sounddevice ({error})") from error
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Samples]()

    def take(samples: Samples, *_: object) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, np.asarray(samples)[:, 0].copy())

    try:
        stream = sounddevice.InputStream(
            samplerate=RATE, channels=1, dtype="float32", blocksize=PIECE, callback=take
        )
        with stream:
            for _ in range(round(seconds * RATE / PIECE)):
                yield await pieces.get()
    except sounddevice.PortAudioError as error:
        raise CommandFailed(f"no microphone can be opened ({error})") from error


LONGEST_LISTEN_S = 300.0

WRITTEN_AT_ONCE, READ_AT_ONCE = 2, 4
"""Files; further calls wait."""

MAX_CALLS = 64
"""Calls at once in a session of HTTP: each goes on where its client closes the connection."""

T = TypeVar("T", AsyncSpeech, AsyncRecognizer)


async def _roots(ctx: Context[Any, Any], file: str | None) -> ListRoots | ListRootsResult | None:
    """Ask the client for its folders, if it has any; None: it knows no such."""
    capabilities = ctx.client_capabilities
    if file is None or capabilities is None or capabilities.roots is None:
        return None
    if not ctx.session.can_send_request:
        return ListRoots()
    # Not by the SDK, which waits for the answer for ever, and gives no reason for one that it does not take.
    asked = ServerMessageMetadata(related_request_id=ctx.request_id)
    try:
        roots: ListRootsResult = await ctx.session.send_request(
            ListRootsRequest(), ListRootsResult, ANSWER_S, asked
        )
    except ValidationError as error:
        raise ToolError(f"file: the client's folders (roots) are refused: {reason_of(error)}") from error
    except MCPError as error:
        raise ToolError(f"file: the client does not tell its folders (roots): {error}") from error
    return roots


Roots = Annotated[ListRootsResult | None, Resolve(_roots)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="what to say")]
File = Annotated[str, Field(description="path of a file below the client's folders")]
Language = Annotated[str | None, Field(description="such as es; told by the speech or the text without it")]


def reason_of(error: ValidationError) -> str:
    """Return what is wrong with a message: the innermost of its faults, as each form of a union has one."""
    fault = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"[:1000]


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Have the client read why something failed."""
    try:
        yield
    except (SpeechError, CommandFailed, FileRefused, ValueError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename or 'file'}: {error.strerror}") from error


class SpeechTools:
    """The tools of one process. Voices and the recogniser are loaded when they are first needed."""

    def __init__(self, engine: str, recognizer: str, folders: Sequence[Path] | None = None) -> None:
        """engine, recognizer: as for ``AsyncSpeech`` and ``AsyncRecognizer``.

        folders: no file outside of them is read or written, whatever the client's roots are; None
        where the client is the user's own program, by standard input.
        """
        self._engine, self._recognizer_name, self._folders = engine, recognizer, folders
        self._loaded: dict[type[AsyncSpeech] | type[AsyncRecognizer], Any] = {}
        self._running = AsyncExitStack()
        self._loading, self._speaker, self._ears = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        # Speech for a file is held whole, 200 MB at most; a recording is held open.
        self._writing, self._reading = asyncio.Semaphore(WRITTEN_AT_ONCE), asyncio.Semaphore(READ_AT_ONCE)
        self.server = MCPServer(
            "kani-tts",
            instructions="Speak to the user, and listen to them. Say short sentences without Markdown.",
            version=VERSION,
            log_level="WARNING",
            middleware=[self._bounded],
        )
        self._calls = Counter[str]()
        """Calls of tools in each session of HTTP."""
        for tool in (self.speak, self.listen, self.transcribe, self.voices):
            self.server.add_tool(tool)

    async def aclose(self) -> None:
        """Free the voices and the recogniser."""
        await self._running.aclose()

    async def _bounded(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Bound a client's calls at once, and have it read what is wrong with a request."""
        session = "" if ctx.request is None else ctx.request.headers.get(MCP_SESSION_ID_HEADER, "")
        counted = Counter([session] if session and ctx.method == "tools/call" else [])
        if counted and self._calls[session] >= MAX_CALLS:
            raise MCPError(INVALID_REQUEST, f"too many calls at once: {MAX_CALLS} are the most in a session")
        self._calls += counted
        try:
            return await call_next(ctx)
        except ValidationError as error:
            raise MCPError(INVALID_PARAMS, f"invalid request: {reason_of(error)}") from error
        finally:
            self._calls -= counted

    async def _get(self, kind: type[T], name: str) -> T:
        async with self._loading:
            if kind not in self._loaded:
                self._loaded[kind] = await self._running.enter_async_context(kind(name))
            found: T = self._loaded[kind]
            return found

    async def speak(
        self,
        text: Text,
        ctx: Context[Any, Any],
        roots: Roots,
        voice: Annotated[str | None, Field(description="an id that the tool voices lists")] = None,
        language: Language = None,
        speed: Annotated[float | None, Field(ge=0.25, le=4.0)] = None,
        emotion: Annotated[str | None, Field(description="such as happy")] = None,
        file: Annotated[
            str | None, Field(description="write this .wav, .mp3, .flac, .opus or .ogg instead of playing")
        ] = None,
    ) -> str:
        """Say a text aloud; returns once it is said. With a file it is written there and not played."""
        async with _told():
            files = self._files(roots)
            path = None if file is None else await files.find(file)
            if path is not None:
                codec_of(path)
            speech = await self._get(AsyncSpeech, self._engine)
            how = {"voice": voice, "language": language, "speed": speed, "emotion": emotion}
            if file is not None and path is not None:
                async with self._writing:
                    audio = await speech.say(text, **how)  # type: ignore[arg-type]
                    await files.write(file, await asyncio.to_thread(audio.encoded, path))
                return f"{path}: {audio.duration_s:.1f} s of speech by {audio.voice}"
            async with self._speaker:
                seconds = await self._play(speech.stream(text, **how), ctx)  # type: ignore[arg-type]
        return f"said, {seconds:.1f} s"

    async def _play(self, chunks: AsyncGenerator[Any, None], ctx: Context[Any, Any]) -> float:
        """Play speech, and return its seconds; cancelled, it falls silent."""
        player: Output | None = None
        seconds = 0.0
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    if player is None:
                        player = await asyncio.to_thread(find_player(), chunk.sample_rate)
                    await asyncio.to_thread(player.write, pcm16(chunk.samples))
                    seconds += chunk.duration_s
                    await ctx.report_progress(seconds, message="speaking")
            if player is not None:
                await asyncio.to_thread(player.close)
        except BaseException:
            if player is not None:
                player.abort()
            raise
        return seconds

    async def listen(
        self,
        ctx: Context[Any, Any],
        language: Language = None,
        prompt: Annotated[str, Field(max_length=4000, description="names and words to expect")] = "",
        seconds: Annotated[float, Field(gt=0, le=LONGEST_LISTEN_S, description="most to listen")] = 60.0,
    ) -> str:
        """Listen to the user by the microphone until they have said all; returns their words."""
        async with _told(), self._ears:
            recognizer = await self._get(AsyncRecognizer, self._recognizer_name)
            words: list[str] = []
            heard = recognizer.hear(microphone(seconds), RATE, language=language, prompt=prompt)
            async with aclosing(heard) as turn:
                async for text in turn:
                    words.append(text)
                    await ctx.report_progress(len(words), message=text)
        return words[-1] if words else "nothing was said"

    async def transcribe(
        self,
        file: File,
        ctx: Context[Any, Any],
        roots: Roots,
        language: Language = None,
        prompt: Annotated[str, Field(max_length=4000, description="names and words to expect")] = "",
    ) -> str:
        """Transcribe a recording: WAV, MP3, FLAC, Ogg, M4A, WebM, or the sound of a video."""
        async with _told(), self._reading:
            with await self._files(roots).read(file) as recording:
                await ctx.report_progress(0, message="transcribing")
                recognizer = await self._get(AsyncRecognizer, self._recognizer_name)
                transcript = await recognizer.transcribe(recording, language=language, prompt=prompt)
        return transcript.text or "no words were recognised"

    async def voices(self, language: Language = None) -> list[dict[str, str]]:
        """List the voices."""
        async with _told():
            speech = await self._get(AsyncSpeech, self._engine)
            wanted = primary(resolve(language)) if language else None
        return [
            {"id": voice.id, "language": voice.language, "gender": voice.gender, "name": voice.name}
            for voice in speech.voices
            if wanted in (None, primary(voice.language))
        ]

    def _files(self, roots: ListRootsResult | None) -> Files:
        addresses = None if roots is None else [str(root.uri) for root in roots.roots]
        return Files(self._folders, addresses)
