"""What a dialect is handed: sessions, voices, and how the server is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from speech import languages
from speech.admission import Admission
from speech.engine import Engine, EngineInfo
from speech.errors import EngineUnavailable
from speech.observer import Observer
from speech.request import Limits, validate
from speech.session import Speaker, SpeechSession, Surroundings
from speech.types import SpeechRequest
from speech.voices import VoiceCatalogue, VoiceStore

log = logging.getLogger(__name__)

TEXT_FOR_LANGUAGE = 80
"""Characters a language is told from where neither the request nor its voice says it."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How busy a service is: open sessions, engine places taken, syntheses that wait for one."""

    sessions: int
    speaking: int
    waiting: int


class SpeechService:
    """The engines behind one door.

    ``engines`` in order of preference: the first that speaks a language does. preferred: engines
    that come before them, and are done without where they cannot start. default_language: a BCP 47
    tag, spoken where nothing tells another. default_voice: replaces the default of its own language.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        store: VoiceStore,
        limits: Limits,
        *,
        default_language: str,
        default_voice: str | None,
        observer: Observer,
        preferred: Sequence[Engine] = (),
    ) -> None:
        self.store = store
        self._preferred = tuple(preferred)
        self._needed = tuple(engines)
        self._engines: list[Engine] = []
        self._limits = limits
        self._default_language = default_language
        self._default_voice = default_voice
        self._observer = observer
        self._admission: Admission | None = None
        self._catalogue: VoiceCatalogue | None = None
        self._sessions: set[SpeechSession] = set()

    async def start(self) -> None:
        """Start every engine. Raises EngineUnavailable, or UnknownVoice for the default voice.

        What was started is stopped again when one that is needed fails; that a preferred one fails
        is logged.
        """
        # Half a second of reading that nobody's first request should wait for.
        detector = asyncio.create_task(asyncio.to_thread(languages.load_detector))
        async with AsyncExitStack() as started:
            for engine in (*self._preferred, *self._needed):
                try:
                    await engine.start()
                except EngineUnavailable as error:
                    if engine in self._needed:
                        raise
                    log.warning("%s; the other engines speak", error)
                    continue
                started.push_async_callback(engine.stop)
                self._engines.append(engine)
            infos = [engine.info for engine in self._engines]
            self._catalogue = VoiceCatalogue(infos, self.store, self._default_voice)
            await detector
            started.pop_all()
        self._admission = Admission(self._limits, {info.name: info.places for info in infos}, self._observer)

    async def stop(self) -> None:
        """End every session and stop the engines."""
        for session in list(self._sessions):
            session.cancel()
        if self._admission is not None:
            self._admission.draining = True
            await self._admission.empty()
            for engine in self._engines:
                await engine.stop()

    async def drain(self, seconds: float) -> None:
        """Refuse new sessions, let those under way finish for ``seconds``, then cancel the rest."""
        if self._admission is None:
            return
        self._admission.draining = True
        try:
            await asyncio.wait_for(self._admission.empty(), seconds)
        except TimeoutError:
            for session in list(self._sessions):
                session.cancel()

    @property
    def ready(self) -> bool:
        """Whether a session would be let in now, as far as the server's own state goes."""
        return self._admission is not None and not self._admission.draining

    @property
    def engines(self) -> tuple[EngineInfo, ...]:
        """Facts about the engines, in order of preference. Only once started."""
        return tuple(engine.info for engine in self._engines)

    @property
    def catalogue(self) -> VoiceCatalogue:
        """Which voice speaks what. Only once started."""
        if self._catalogue is None:
            raise RuntimeError("the service has not started")
        return self._catalogue

    @property
    def limits(self) -> Limits:
        """What this server takes on."""
        return self._limits

    def state(self) -> ServiceState:
        """How busy the service is."""
        admission = self._admission
        if admission is None:
            return ServiceState(0, 0, 0)
        return ServiceState(admission.sessions, admission.speaking, admission.waiting)

    def open(
        self,
        request: SpeechRequest,
        *,
        protocol: str,
        client: str = "",
        fallback_language: str | None = None,
        heard_at_once: bool = True,
    ) -> SpeechSession:
        """A session for ``request``; use it by ``async with``, which frees it however one leaves.

        protocol: the dialect's name, for the counters; client: whose rate it counts towards;
        fallback_language: spoken where neither request, voice nor text tells another;
        heard_at_once: whether somebody listens while it is made, so that the first sound has to be
        early, or only once all of it is there. Raises InvalidRequest or Busy.
        """
        admission = self._admission
        if admission is None:
            raise RuntimeError("the service has not started")
        validate(request)
        language = request.language or self.catalogue.language_of(request.voice)
        speaker = self._speaker(request, language) if language else None
        if request.voice and speaker is None:
            self.catalogue.resolve(request.voice, self._default_language)

        def find_speaker(text: str) -> Speaker:
            detected = languages.detect(text, self.catalogue.languages)
            return self._speaker(request, detected or fallback_language or self._default_language)

        admission.enter(protocol, client)
        surroundings = Surroundings(
            self._limits, admission, self._observer, find_speaker, self._sessions.discard
        )
        session = SpeechSession(request, protocol, surroundings, speaker, TEXT_FOR_LANGUAGE, heard_at_once)
        self._sessions.add(session)
        return session

    def _speaker(self, request: SpeechRequest, language: str) -> Speaker:
        choice = self.catalogue.resolve(request.voice, language)
        engine = next(engine for engine in self._engines if engine.info.name == choice.engine)
        return Speaker(engine, choice.voice, choice.language)
