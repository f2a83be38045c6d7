"""Speech by a service, with retries until audio was received, or else by a fallback engine."""

import asyncio
import itertools
import logging
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import ClassVar, cast

from kani.core.audio.checked import checked_speech
from kani.core.audio.resampling import reframe
from kani.core.engine import Described, Engine, StreamingInputEngine
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.types import Segment, SpeechChunk
from kani.engines.plugin import Resources
from kani.engines.upstream.failures import ServiceFailed, UpstreamMetrics
from kani.engines.upstream.text import SegmentText
from kani.runtime.cancelling import end_tasks
from kani.runtime.host_names import is_confidential
from kani_text.languages import primary

RETRY_DELAYS_S = (0.25, 1.0)
"""Seconds before each further try, as long as no audio was received."""

START_S = 5.0
"""Longest wait of a start for a service (seconds); what it asks for is then asked for later."""

SECONDS_EACH = 2.0
"""Seconds of waiting for each second of speech, at most: a service that drips is never silent for long."""

LATER_DELAYS_S = (2.0, 5.0, 15.0, 30.0)
"""Seconds before each further try of what a start asks for; the last of them again and again."""

ACTIVE_S = 30.0
"""The service is not tried for so many seconds after a failure: each sentence would wait for it to fail."""

_KEY = re.compile(r"[!-~]{1,512}")

logger = logging.getLogger(__name__)


class RelayEngine(Described, ABC):
    """An engine that has a service speak, or else its fallback engine."""

    SERVICE: ClassVar[tuple[str, str]]  # the service in the names of metrics, and its name for people
    KEY: ClassVar[str]  # name of the setting with the service's key

    def __init__(self, resources: Resources, sample_rate: int) -> None:
        """resources: its ``fallback`` speaks, with its own voices, what fails at the service before its first
        audio; it is started and stopped with this engine. sample_rate: of the service (hertz). Raises
        EngineUnavailable.
        """
        host = resources.host
        assert host is not None  # it is always built in the server's process
        self._metrics = UpstreamMetrics(host.metrics, *self.SERVICE)
        self._fallback = None if resources.fallback == "none" else host.engine(resources.fallback)
        self._sample_rate = sample_rate
        self._avoided_until_s = 0.0  # the service is not tried before, where there is a fallback engine
        self._listing: asyncio.Task[None] | None = None

    @abstractmethod
    async def _connect(self) -> None:
        """Check the settings, and prepare for requests. Raises EngineUnavailable."""

    async def _disconnect(self) -> None:
        """Release what ``_connect`` made."""

    @abstractmethod
    async def _list(self) -> None:
        """Describe the engine by its settings, then with the service's voices. Raises ServiceFailed."""

    async def start(self) -> None:
        """Fetch the service's voices, and start the fallback engine.

        Raises EngineUnavailable for what no later try can mend. A service that cannot be reached now is asked
        again later.
        """
        async with AsyncExitStack() as started:
            await self._connect()
            started.push_async_callback(self._disconnect)
            if self._fallback is not None:
                await self._fallback.start()
                started.push_async_callback(self._fallback.stop)
            later = False
            try:
                async with asyncio.timeout(START_S):
                    await self._list()
            except TimeoutError:
                logger.warning(
                    "%s does not answer in %g s; its voices are listed later", self.SERVICE[1], START_S
                )
                later = True
            except ServiceFailed as error:
                if error.code in ("unauthorized", "invalid_api_key"):
                    raise EngineUnavailable(f"{error}: set {self.KEY} to a valid one") from error
                logger.warning("%s (%s); its voices are not listed", error, error.detail)
                later = error.is_outage
            if later:
                self._listing = asyncio.create_task(ask_later(self._list, "its voices"))
            started.pop_all()

    async def stop(self) -> None:
        await end_tasks(self._listing)
        await self._disconnect()
        if self._fallback is not None:
            await self._fallback.stop()

    async def _relay(
        self, segment: Segment, text: SegmentText, attempt: Callable[[], AsyncGenerator[SpeechChunk, None]]
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a segment.

        text: of the segment, complete or still written; attempt: speaks it by the service once, and raises
        ServiceFailed. Raises EngineFailed.
        """
        async with text:
            fallback = self._fallback
            if fallback is not None and primary(segment.language) not in fallback.info.default_voices:
                fallback = None
            delays = iter(RETRY_DELAYS_S)
            while fallback is None or time.monotonic() >= self._avoided_until_s:
                has_audio = False
                try:
                    async with aclosing(attempt()) as chunks:
                        async for chunk in chunks:
                            has_audio = True
                            yield chunk
                    return
                except ServiceFailed as error:
                    self._metrics.count_failure(error.metric_code)
                    logger.warning("%s (%s; %s)", error, error.metric_code, error.detail)
                    delay_s = next(delays, None) if error.transient and not has_audio else None
                    if delay_s is None and (has_audio or fallback is None):
                        raise EngineFailed(str(error), logged=True) from error
                    if delay_s is None and error.affects_all_requests:
                        self._avoided_until_s = time.monotonic() + ACTIVE_S
                if delay_s is None:
                    break
                await asyncio.sleep(delay_s)
            assert fallback is not None, "without a fallback engine the failure was raised"
            async with aclosing(self._fall_back(fallback, segment, text)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _fall_back(
        self, engine: Engine, segment: Segment, text: SegmentText
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text`` from its start by another engine, with its own default voice."""
        name = engine.info.name
        logger.warning("%s failed: falling back to %s for one segment", self._metrics.service, name)
        self._metrics.count_fallback(name)
        await text.regain_slot()
        own = replace(segment, voice=engine.info.default_voices[primary(segment.language)])
        async with aclosing(_speech(engine, own, text)) as speech:
            async for chunk in reframe(speech, self._sample_rate, self._sample_rate):
                yield chunk


def check_key(key: str, setting: str, address: str, address_setting: str) -> None:
    """Raise EngineUnavailable for a key that no header can hold, or that others could read on its way."""
    if _KEY.fullmatch(key) is None:
        raise EngineUnavailable(f"{setting} has to be 1 to 512 letters, digits and signs")
    if not is_confidential(address):
        raise EngineUnavailable(
            f"{setting} is sent through https only, but to this machine itself: set {address_setting} to an "
            "address that begins with https://"
        )


async def ask_later(ask: Callable[[], Awaitable[None]], what: str) -> None:
    """Ask a service again and again, until it answers or fails by anything but an outage.

    ask: raises ServiceFailed; what: is asked for, for the log.
    """
    for delay_s in itertools.chain(LATER_DELAYS_S, itertools.repeat(LATER_DELAYS_S[-1])):
        await asyncio.sleep(delay_s)
        try:
            await ask()
        except ServiceFailed as error:
            if not error.is_outage:
                logger.warning("%s (%s); %s: not asked for again", error, error.detail, what)
                return
        else:
            logger.info("the service can be reached: %s are known", what)
            return


async def _speech(engine: Engine, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
    """Speak at the engine's own rate; an engine that needs all of the text waits for its end."""
    incremental = text.incremental_text
    if incremental is not None and engine.info.accepts_partial_text:
        speech = cast(StreamingInputEngine, engine).stream(segment, incremental)
    else:
        while incremental is not None and incremental.boundary is None:
            await incremental.wait_for_more(len(incremental.text))
        speech = engine.synthesize(
            replace(segment, text=text.text, boundary=text.boundary or segment.boundary)
        )
    info = engine.info
    speech = checked_speech(speech, info.name, info.sample_rate, segment.max_seconds, lambda: len(text.text))
    async with aclosing(speech) as chunks:
        async for chunk in chunks:
            yield chunk
