"""A chat endpoint of OpenAI's form: Ollama, llama.cpp, vLLM, LM Studio, OpenAI …"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Set
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from kani.core.chat_model import (
    ChatEnd,
    ChatEvent,
    ChatFailed,
    ChatMessage,
    ChatRequest,
    ChatText,
    ChatUsage,
    ChatWaiting,
)
from kani.core.errors import EngineUnavailable
from kani.engines.chat import wire
from kani.engines.chat.reasoning import ReasoningFilter
from kani.runtime import bounded_http
from kani.runtime.bounded_http.events import event_data
from kani.runtime.cancelling import wait_until_done
from kani_text.foreign import Unreadable

START_S, CONNECT_S = 5.0, 10.0
"""Most seconds of the look for the model at the start, and of a connection."""

WAITING_AFTER_S, WAITING_EVERY_S = 5.0, 15.0
SILENT_TIMES = 5.0
"""Times ``ChatSettings.first_s`` that a model may write without a word or a call that is given out."""

LOADING_RETRY_S = 1.0
"""Seconds until a server that answers 503 is asked again: llama.cpp does while it loads its model."""

REFUSED_S = 300.0
"""Seconds for which pictures or options that the endpoint has refused are left out at once."""

MAX_BODY_BYTES = 2**20
"""Bytes of a list of models, and of an error."""

MAX_STREAM_BYTES, MAX_STREAM_PIECES = 2**26, 500_000
"""Bytes of the stream of an answer, reasoning included, and pieces in which it arrives."""

MAX_UNREADABLE = 100
"""Events of a stream that may be no JSON; each costs itself only."""

MAX_DETAIL = 300
"""Characters of an endpoint's own words in an error."""

LENGTH_FIELDS = ("max_tokens", "max_completion_tokens")
"""Names of the limit of tokens: all endpoints know the first, but OpenAI's later models refuse it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatSettings:
    url: str  # base address, with its version: http://localhost:11434/v1
    model: str | None = None  # None: the only one that is listed
    api_key: str = field(default="", repr=False)
    first_s: float = 120.0  # longest wait for the first sign of an answer
    stall_s: float = 20.0  # longest wait for the next
    max_characters: int = 8000  # of an answer
    early: bool = False  # whether it may be asked before it is sure that an answer is wanted


class _Progress:
    """The model has written something that is not spoken."""


class ChatEndpoint:
    """A ``ChatModel`` by HTTP.

    Requests go to the given address only: no redirect is followed, and no proxy of the environment is used.
    """

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        self._client: httpx2.AsyncClient | None = None
        self._chosen = settings.model
        self._trouble = ""  # of the start, for people
        self._length_field = LENGTH_FIELDS[0]
        self._refused: dict[wire.Extra, float] = {}  # and the time until which it is left out
        self._unopened = False  # whether the last answer's reasoning had no opening mark
        self._place = urlsplit(settings.url).netloc

    @property
    def name(self) -> str:
        """The model of the settings, or the only one that is listed; "" until that is known."""
        return self._chosen or ""

    @property
    def description(self) -> str:
        model = self._chosen or "its only model"
        return f"{model} at {self._settings.url}{self._trouble and f' ({self._trouble})'}"

    @property
    def asked_early(self) -> bool:
        """True if it may be asked for answers that are not sure to be wanted."""
        return self._settings.early

    async def start(self) -> None:
        """See ``ChatModel``; other trouble than an unknown model is told, and each answer asks again."""
        self._trouble = ""
        try:
            async with asyncio.timeout(START_S):
                if self._chosen is None:
                    await self._model()
                else:
                    await self._check_named(self._chosen)
        except ChatFailed as failure:
            if failure.code == "unknown_model":
                await self.stop()
                raise EngineUnavailable(str(failure)) from failure
            self._trouble = str(failure)
        except TimeoutError:
            self._trouble = f"no answer in {START_S:g} s: it may be loading"
        except (httpx2.ConnectError, httpx2.TimeoutException):
            self._trouble = "it cannot be reached now: is it running?"
        except httpx2.HTTPError as error:
            self._trouble = f"its answer to the first question {error}"
        if self._trouble:
            log.warning("language model at %s: %s", self._place, self._trouble)

    async def _check_named(self, model: str) -> None:
        """Look for the model of the settings. Raises ChatFailed, and httpx2's errors."""
        try:
            listed = await self._models()
        except ChatFailed:
            listed = []  # not every server or key has a list
        # Ollama's names have a tag, which requests may leave out.
        if {model, f"{model}:latest"}.isdisjoint(listed):
            # Some lists are not complete, and some servers read no name: one token tells.
            async with self._stream(ChatRequest((ChatMessage("user", "."),), max_tokens=1)):
                pass

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield an answer as it is written. Raises ChatFailed. See ``ChatModel``."""
        settings, now = self._settings, asyncio.get_running_loop().time
        begun, begun_at = False, now()
        spoken_at = begun_at
        waiting_at = begun_at + WAITING_AFTER_S
        events = self._events(request)
        # A second cancellation must not break off the closing of the connection: the model would write on.
        try:
            while True:
                following = asyncio.ensure_future(anext(events))
                ends_at = now() + settings.stall_s if begun else begun_at + settings.first_s
                try:
                    while not following.done():
                        until = ends_at if begun else min(ends_at, waiting_at)
                        await asyncio.wait({following}, timeout=max(0.0, until - now()))
                        if following.done():
                            break
                        if now() >= ends_at:
                            late = f"did not begin an answer within {settings.first_s:g} s"
                            late = f"wrote nothing more for {settings.stall_s:g} s" if begun else late
                            raise self._failed("timeout", late)
                        log.info("%s has written nothing for %.0f s", self._place, now() - begun_at)
                        yield ChatWaiting(now() - begun_at)
                        waiting_at = now() + WAITING_EVERY_S
                finally:
                    following.cancel()
                    await wait_until_done(following)
                event = following.result()
                begun = True
                if not isinstance(event, _Progress):
                    yield event
                    spoken_at = now()
                elif now() - spoken_at > SILENT_TIMES * settings.first_s:
                    seconds = SILENT_TIMES * settings.first_s
                    raise self._failed("timeout", f"wrote for {seconds:g} s without an answer")
                if isinstance(event, ChatEnd):
                    return
        except ChatFailed as failure:
            log.warning("%s", failure)
            raise
        finally:
            await wait_until_done(asyncio.ensure_future(events.aclose()))

    async def _events(self, request: ChatRequest) -> AsyncGenerator[ChatEvent | _Progress, None]:
        """Yield the answer without regard to time."""
        try:
            async with self._stream(request) as response, aclosing(self._read(response)) as events:
                async for event in events:
                    yield event
        except httpx2.TimeoutException as error:
            raise self._failed("unreachable", f"cannot be reached within {CONNECT_S:g} s") from error
        except httpx2.ConnectError as error:
            raise self._failed("unreachable", "cannot be reached: is it running?") from error
        except bounded_http.AnswerRefused as error:
            raise self._failed("broken", f"sent an answer that {error}") from error
        except httpx2.HTTPError as error:
            raise self._failed("broken", "broke off in the middle") from error

    async def _read(self, response: httpx2.Response) -> AsyncGenerator[ChatEvent | _Progress, None]:
        """Yield what a response streams, up to its end or the longest answer."""
        text, calls = ReasoningFilter(leads=self._unopened), wire.CallPieces()
        left = self._settings.max_characters
        reason: str | None = None
        usage, ended = ChatUsage(), False
        unreadable = readable = 0
        try:
            pieces = bounded_http.pieces(response, MAX_STREAM_BYTES, MAX_STREAM_PIECES)
            async for data in event_data(pieces):
                if ended := data.strip() == b"[DONE]":
                    break
                try:
                    chunk = wire.read_chunk(data)
                except Unreadable as error:
                    unreadable += 1
                    log.warning("%s sent an event that cannot be read: %s", self._place, error)
                    if unreadable > MAX_UNREADABLE:
                        raise
                    continue
                readable += 1
                if (failure := chunk.failure) is not None:
                    raise self._failed("failed", f"failed: {self._quoted(failure)}")
                if chunk.usage is not None:
                    usage = chunk.usage.counted()
                for choice in chunk.choices or ():
                    reason = choice.finish_reason or reason
                    delta = choice.delta or wire.Delta()
                    for piece in delta.tool_calls or ():
                        calls.add(piece)
                    if words := text.feed(delta.text):
                        yield ChatText(words[:left])
                        left -= len(words)
                        if left < 0:
                            yield ChatEnd("length", usage)
                            return
                    elif delta.written:
                        yield _Progress()
        except ValueError as error:
            raise self._failed("broken", "sent what is no chat completion") from error
        if unreadable and not readable:
            raise self._failed("broken", "sent what is no chat completion")
        if reason is None and not ended:
            raise self._failed("broken", "broke off in the middle")
        if text.unopened and not self._unopened:
            log.warning(
                "%s writes its reasoning into the answer, without <think> before it, so that the first "
                "is spoken: have them separated (llama-server: --reasoning-format, vLLM: --reasoning-parser)",
                self._place,
            )
        self._unopened = text.unopened
        if rest := text.finish()[:left]:
            yield ChatText(rest)
        for call in calls.complete:
            yield call
        yield ChatEnd(wire.finish_reason(reason), usage)

    @asynccontextmanager
    async def _stream(self, request: ChatRequest) -> AsyncIterator[httpx2.Response]:
        """Open the stream of an answer, as soon as the server has loaded its model. Raises ChatFailed."""
        now = time.monotonic()
        self._refused = {extra: until for extra, until in self._refused.items() if until > now}
        left_out = {*self._refused}
        while True:
            body = wire.request_body(await self._model(), request, self._length_field, left_out)
            async with self._open().stream(
                "POST", f"{self._settings.url}/chat/completions", content=body
            ) as response:
                kind = response.headers.get("content-type", "")
                if response.status_code == 200 and "json" not in kind and "html" not in kind:
                    self._note_refused(left_out)
                    yield response
                    return
                words = self._quoted(wire.read_error(await bounded_http.body(response, MAX_BODY_BYTES)))
            if response.status_code == 400 and LENGTH_FIELDS[1] in words:
                if self._length_field != LENGTH_FIELDS[1]:
                    self._length_field = LENGTH_FIELDS[1]
                    continue
            elif response.status_code == 400 and (extra := wire.next_extra(request, left_out)):
                left_out.add(extra)
                continue
            elif response.status_code == 503:
                await asyncio.sleep(LOADING_RETRY_S)
                continue
            raise self._refusal(response.status_code, words)

    def _note_refused(self, left_out: Set[wire.Extra]) -> None:
        """Remember for a while what a request was answered without: its picture may have been at fault."""
        until = time.monotonic() + REFUSED_S
        for extra in left_out - self._refused.keys():
            log.warning("%s refuses %s: they are left out for %g s", self._place, extra, REFUSED_S)
            self._refused[extra] = until

    async def _model(self) -> str:
        """Return the model's name: the one of the settings, or the only one there is. Raises ChatFailed."""
        if self._chosen is not None:
            return self._chosen
        names = await self._models()
        if len(names) != 1:
            some = ", ".join(name[:60] for name in names[:8])
            listed = f"has {len(names)} models ({some})" if names else "has no model"
            raise self._failed("unknown_model", f"{listed}: name one in KANI_LLM_MODEL")
        self._chosen = names[0]
        return names[0]

    async def _models(self) -> list[str]:
        """Return the names of the listed models. Raises ChatFailed."""
        while True:
            async with self._open().stream("GET", f"{self._settings.url}/models") as response:
                body = await bounded_http.body(response, MAX_BODY_BYTES)
            if response.status_code != 503:
                break
            await asyncio.sleep(LOADING_RETRY_S)
        if response.status_code != 200:
            raise self._refusal(response.status_code, self._quoted(wire.read_error(body)))
        try:
            return wire.read_models(body)
        except ValueError as error:
            raise self._failed("broken", "sent what is no list of models") from error

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            key = self._settings.api_key
            self._client = bounded_http.new_client(
                headers={"Content-Type": "application/json"}
                | ({"Authorization": f"Bearer {key}"} if key else {}),
                timeout=httpx2.Timeout(None, connect=CONNECT_S),
                keepalive=8,
            )
        return self._client

    def _refusal(self, status: int, words: str) -> ChatFailed:
        said = f": {words}" if words else ""
        match status:
            case 200:
                return self._failed("failed", f"sent no stream{said}")
            case 401 | 403:
                asked = "refuses the key in KANI_LLM_API_KEY" if self._settings.api_key else "requires a key"
                return self._failed("unauthorized", f"{asked} (HTTP {status})")
            case 404:
                model = self._chosen or "a model"
                self._chosen = self._settings.model  # another may be the only one by now
                return self._failed("unknown_model", f"has no {model}, or is no chat endpoint{said}")
            case 429:
                return self._failed("rate_limited", f"takes no more requests at the moment{said}")
        code = "refused" if 300 <= status < 500 else "failed"
        return self._failed(code, f"answered with HTTP {status}{said}")

    def _failed(self, code: str, what: str) -> ChatFailed:
        return ChatFailed(code, f"the language model at {self._place} {what}")

    def _quoted(self, words: str) -> str:
        """Return an endpoint's own words for an error: without the key, and no longer than the limit."""
        if key := self._settings.api_key:
            words = words.replace(key, "(key)")
        return words if len(words) <= MAX_DETAIL else f"{words[:MAX_DETAIL]}…"
