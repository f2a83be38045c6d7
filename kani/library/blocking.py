"""Speech and recognition for programs without an event loop of their own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from kani.core.types import Voice
from kani.library.asynchronous import AsyncRecognizer, AsyncSpeech
from kani.library.conversation import AsyncConversation

T = TypeVar("T")
P = ParamSpec("P")
Method = Callable[Concatenate[Any, P], T]
Inner = TypeVar("Inner", bound=AbstractAsyncContextManager[Any])


class _BackgroundLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kani", daemon=True)
        self._thread.start()
        self.runs = self._thread.is_alive  # not so in a forked process, which has no thread but its own

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end and return its result; Ctrl+C cancels it."""
        if not self.runs():
            work.close()
            raise RuntimeError("the `with` of this stream has ended, or was entered in another process")
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
                yield self.run(_next(generator))
        except StopAsyncIteration:
            return
        finally:
            if self.runs():
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
        if self._entered is None or not self._entered.runs():
            name = type(self).__name__
            raise RuntimeError(
                f"{name} is not open in this process: use it inside `with {name}(…) as {name.lower()}:`"
            )
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
        loop, self._entered = self._loop, None
        try:
            loop.run(self._inner.__aexit__(kind, error, trace))
        finally:
            loop.close()


def _run(method: Method[P, Coroutine[Any, Any, T]]) -> Method[P, T]:
    @wraps(method)
    def blocking(self: _Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run(method(self._inner, *args, **kwargs))

    return blocking


def _iterated(method: Method[P, AsyncGenerator[T, None]]) -> Method[P, Generator[T, None, None]]:
    @wraps(method)
    def blocking(self: _Blocking[Any], /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return self._loop.iterate(method(self._inner, *args, **kwargs))

    return blocking


class Speech(_Blocking[AsyncSpeech]):
    """Speaks texts; use it by ``with``. The arguments are those of ``AsyncSpeech``."""

    def __init__(self, engine: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncSpeech(engine, **settings))

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices, stored ones included."""
        return self._inner.voices

    say = _run(AsyncSpeech.say)
    stream = _iterated(AsyncSpeech.stream)


class Recognizer(_Blocking[AsyncRecognizer]):
    """Recognises speech; use it by ``with``. The arguments are those of ``AsyncRecognizer``."""

    def __init__(self, recognizer: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncRecognizer(recognizer, **settings))

    transcribe = _run(AsyncRecognizer.transcribe)
    align = _run(AsyncRecognizer.align)
    listen = _iterated(AsyncRecognizer.listen)
    hear = _iterated(AsyncRecognizer.hear)


class Conversation(_Blocking[AsyncConversation]):
    """Answers what is said; use it by ``with``. The arguments are those of ``AsyncConversation``."""

    def __init__(self, llm_url: str, engine: str = "auto", recognizer: str = "auto", **settings: Any) -> None:
        super().__init__(AsyncConversation(llm_url, engine, recognizer, **settings))

    talk = _iterated(AsyncConversation.talk)
