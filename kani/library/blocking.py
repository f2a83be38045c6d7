"""Speech and recognition for programs without an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from kani.core.recognizer import RecognizedWord
from kani.core.types import Samples, SpeechChunk, Voice
from kani.library.asynchronous import AsyncRecognizer, AsyncSpeech, in_thread
from kani.library.conversation import AsyncConversation
from kani.library.results import Audio, ConversationEvent, Transcript
from kani.library.sounds import Sound

T = TypeVar("T")
Inner = TypeVar("Inner", bound=AbstractAsyncContextManager[Any])


class _BackgroundLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kani", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end and return its result; Ctrl+C cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Yield what ``generator`` yields; a loop that is left closes it."""
        try:
            while True:
                try:
                    item = self.run(_next(generator))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.run(_close(generator))

    def close(self) -> None:
        """End the loop and its thread."""
        self.run(self._loop.shutdown_asyncgens())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(generator: AsyncGenerator[T, None]) -> T:
    return await anext(generator)


async def _close(generator: AsyncGenerator[T, None]) -> None:
    await generator.aclose()


class _Blocking(Generic[Inner]):
    """Runs one of the asynchronous classes in a loop of its own."""

    def __init__(self, inner: Inner) -> None:
        self._inner = inner
        self._entered: _BackgroundLoop | None = None

    @property
    def _loop(self) -> _BackgroundLoop:
        if self._entered is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} is not open: use it inside `with {name}(…) as {name.lower()}:`")
        return self._entered

    def __enter__(self) -> Self:
        self._entered = _BackgroundLoop()
        try:
            self._loop.run(self._inner.__aenter__())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.run(self._inner.__aexit__(kind, error, trace))
        finally:
            self._loop.close()
            self._entered = None


class Speech(_Blocking[AsyncSpeech]):
    """Speaks texts; use it by ``with``. The arguments are those of ``AsyncSpeech``."""

    def __init__(self, engine: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncSpeech(engine, **settings))

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices, stored ones included."""
        return self._inner.voices

    def say(
        self,
        text: str,
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        emotion: str | None = None,
        reference: Sound | None = None,
    ) -> Audio:
        """Speak a text; see ``AsyncSpeech.say``."""
        return self._loop.run(
            self._inner.say(
                text, voice=voice, language=language, speed=speed, emotion=emotion, reference=reference
            )
        )

    def stream(
        self,
        text: str | Iterable[str],
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        emotion: str | None = None,
        reference: Sound | None = None,
    ) -> Generator[SpeechChunk, None, None]:
        """Yield the speech while it is made, and while the text is still being written.

        An iterable of parts is read in a thread of its own. See ``AsyncSpeech.stream``.
        """
        return self._loop.iterate(
            self._inner.stream(
                text, voice=voice, language=language, speed=speed, emotion=emotion, reference=reference
            )
        )


class Recognizer(_Blocking[AsyncRecognizer]):
    """Recognises speech; use it by ``with``. The arguments are those of ``AsyncRecognizer``."""

    def __init__(self, recognizer: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncRecognizer(recognizer, **settings))

    def transcribe(
        self, sound: Sound, *, language: str | None = None, prompt: str = "", speakers: bool | int = False
    ) -> Transcript:
        """Transcribe a recording; see ``AsyncRecognizer.transcribe``."""
        return self._loop.run(
            self._inner.transcribe(sound, language=language, prompt=prompt, speakers=speakers)
        )

    def listen(
        self, audio: Iterable[Samples], sample_rate: int, *, language: str | None = None, prompt: str = ""
    ) -> Generator[RecognizedWord, None, None]:
        """Yield the words of ``audio`` while it comes; see ``AsyncRecognizer.listen``.

        ``audio`` is read in a thread of its own.
        """
        heard = self._inner.listen(in_thread(audio), sample_rate, language=language, prompt=prompt)
        return self._loop.iterate(heard)


class Conversation(_Blocking[AsyncConversation]):
    """Answers what is said; use it by ``with``. The arguments are those of ``AsyncConversation``."""

    def __init__(self, llm_url: str, engine: str = "auto", recognizer: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncConversation(llm_url, engine, recognizer, **settings))

    def talk(self, audio: Iterable[Samples], sample_rate: int) -> Generator[ConversationEvent, None, None]:
        """Yield what was understood and what is answered; see ``AsyncConversation.talk``.

        ``audio`` is read in a thread of its own: a microphone may block there.
        """
        return self._loop.iterate(self._inner.talk(in_thread(audio), sample_rate))
