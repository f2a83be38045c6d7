"""What a dialect is handed: sessions that speak or listen, voices, and how the server is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from speech.engine import Engine, EngineInfo
from speech.errors import EngineUnavailable, UnsupportedLanguage
from speech.late_engine import LateEngine
from speech.observer import Observer
from speech.recognizer import Recognizer
from speech.request import Limits, validate
from speech.session.admission import Admission
from speech.session.context import Prepare, ResolvedVoice, SessionContext
from speech.session.priority import SessionPriorities
from speech.session.recognition import RecognitionSession
from speech.session.session import SpeechSession
from speech.text import language_detection, languages
from speech.text.lexicon_file import LexiconFile
from speech.timing.reference_voice import ReferenceVoice
from speech.types import SpeechRequest
from speech.voices.catalogue import VoiceCatalogue, VoiceStore
from speech.voices.cloning import VoiceCloner

log = logging.getLogger(__name__)

LANGUAGE_DETECTION_CHARACTERS = 80
"""Characters a language is told from where neither the request nor its voice says it."""

EARLY_DETECTION = ((24, 0.8), (40, 0.6))
"""After so many characters it is told already if one is so sure: a text that is being written waits less
(of 165 sentences in ten languages 24 characters tell 133, 40 tell 163, and none of them wrong)."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How busy a service is: open sessions, engine places taken, syntheses that wait for one."""

    sessions: int
    slots_in_use: int
    waiting: int


class SpeechService:
    """The engines behind one door.

    ``engines`` in order of preference: the first that speaks a language does. joining: one that starts
    behind the speech and comes before them once it speaks, if it ever does. default_language: a BCP 47
    tag, spoken where nothing tells another. default_voice: replaces the default of its own language.
    recognizer: who listens, started when the first client wants to be heard; None is nobody.
    renderer: by whom the words of engines are found that do not time them. lexicon: how words are said
    that the server knows better; announce_code: whether blocks of code in a text are announced, or passed
    over in silence.
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
        late_engine: LateEngine | None = None,
        recognizer: Recognizer | None = None,
        reference_voice: ReferenceVoice | None = None,
        lexicon: LexiconFile | None = None,
        announce_code: bool = True,
    ) -> None:
        self.store = store
        self.recognizer = recognizer
        self._renderer = reference_voice
        self._lexicon = lexicon
        self._announce_code = announce_code
        self.late_engine = late_engine
        self._needed = tuple(engines)
        self._engines: tuple[Engine, ...] = ()
        self._limits = limits
        self._default_language = default_language
        self._default_voice = default_voice
        self._observer = observer
        self._admission: Admission | None = None
        self._catalogue: VoiceCatalogue | None = None
        self.cloning = VoiceCloner(store, default_language)
        self._sessions: set[SpeechSession] = set()
        self._recognitions: set[RecognitionSession] = set()
        self._starting_to_listen: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start every engine. Raises EngineUnavailable, or UnknownVoice for the default voice.

        What was started is stopped again when one fails. One that joins is begun, not waited for.
        """
        # Half a second of reading that nobody's first request should wait for.
        detector = asyncio.create_task(asyncio.to_thread(language_detection.load_detector))
        async with AsyncExitStack() as started:
            for engine in self._needed:
                await engine.start()
                started.push_async_callback(engine.stop)
            self._engines = self._needed
            self._catalogue = self._catalogue_of(self._engines)
            self.cloning.start(self._engines)
            await detector
            if self._lexicon is not None:
                await self._lexicon.refresh()
            started.pop_all()
        places = {engine.info.name: partial(self._places_of, engine) for engine in self._engines}
        for name, count in places.items():
            self._observer.engine_ready(name, count)
        self._admission = Admission(self._limits, places, self._observer)
        if self.late_engine is not None:
            self.late_engine.start(self._admit)

    def _catalogue_of(self, engines: Sequence[Engine]) -> VoiceCatalogue:
        return VoiceCatalogue([engine.info for engine in engines], self.store, self._default_voice)

    def _admit(self, engine: Engine) -> None:
        """Have an engine speak before the others, from each session's next segment on."""
        assert self._admission is not None
        engines = (engine, *self._engines)
        # The one step that may fail (a file of the default voice is read) comes first.
        catalogue = self._catalogue_of(engines)
        places = partial(self._places_of, engine)
        self._admission.add_engine(engine.info.name, places)
        self._observer.engine_ready(engine.info.name, places)
        self._engines, self._catalogue = engines, catalogue
        self.cloning.start(engines)

    def _places_of(self, engine: Engine) -> int:
        places = engine.info.max_concurrency
        return min(places, self._limits.max_concurrent or places)

    async def stop(self) -> None:
        """End every session and stop the engines."""
        for session in list(self._sessions):
            session.cancel()
        for recognition in list(self._recognitions):
            recognition.finish()
        if self._admission is not None:
            self._admission.draining = True
            await self._admission.wait_until_empty()
            if self.late_engine is not None:
                await self.late_engine.stop()
            await self._stop_listening()
            await self.cloning.stop()
            for engine in self._engines:
                await engine.stop()

    async def _stop_listening(self) -> None:
        starting = self._starting_to_listen
        if self.recognizer is not None and starting is not None:
            await asyncio.wait([starting])
            if starting.exception() is None:
                await self.recognizer.stop()

    async def drain(self, seconds: float) -> None:
        """Refuse new sessions, let those under way finish for ``seconds``, then cancel the rest.

        One whose client still writes is finished once all that it wrote is spoken.
        What is listened to has no end of its own: it ends with what was said so far.
        """
        if self._admission is None:
            return
        self._admission.draining = True
        for recognition in list(self._recognitions):
            recognition.finish()
        for session in list(self._sessions):
            session.drain()
        try:
            await asyncio.wait_for(self._admission.wait_until_empty(), seconds)
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
        return ServiceState(admission.sessions, admission.slots_in_use, admission.waiting)

    def open(
        self,
        request: SpeechRequest,
        *,
        protocol: str,
        client: str = "",
        fallback_language: str | None = None,
        low_latency: bool = True,
        max_text: int | None = None,
        timeout_s: float | None = None,
        prepare: Prepare | None = None,
        clones: bool = False,
        priorities: SessionPriorities | None = None,
    ) -> SpeechSession:
        """A session for ``request``; use it by ``async with``, which frees it however one leaves.

        protocol: the dialect's name, for the counters; client: whose rate it counts towards;
        fallback_language: spoken where neither request, voice, text nor the client's languages tell another;
        heard_at_once: whether somebody listens while it is made, so that the first sound has to be
        early, or only once all of it is there; max_text: characters, in place of the server's limit;
        timeout_s: seconds, where the client waits less long than the server would let it; prepare: what
        is waited for before it speaks (a recording that has to be fetched, say), which counts as its
        client's waiting, ends with the session, and may raise a SpeechError; clones: whether it is to sound
        like somebody whom ``prepare`` names; among: the other sessions of its connection, if some may give
        way to others. Raises InvalidRequest or Busy.
        """
        admission = self._admission
        if admission is None:
            raise RuntimeError("the service has not started")
        validate(request)
        # Once: it is the same voice all through, whatever becomes of its name meanwhile.
        named = self.catalogue.find(request.voice)
        language = request.language or (named.language if named is not None else None)

        def speaker_of(request: SpeechRequest, language: str) -> ResolvedVoice:
            sounds_like = clones or request.reference is not None
            voice = named if request.voice is not None else None
            choice = self.catalogue.resolve(voice, language, cloning=sounds_like)
            engine = next(engine for engine in self._engines if engine.info.name == choice.engine)
            return ResolvedVoice(engine, choice.voice, choice.language, choice.stored)

        speaker = speaker_of(request, language) if language else None

        def find_speaker(request: SpeechRequest, text: str, complete: bool) -> ResolvedVoice | None:
            known = self.catalogue.languages
            clients = tuple(languages.primary(tag) for tag in request.languages)
            expected = clients or ((fallback_language,) if fallback_language else ())
            for characters, sure in EARLY_DETECTION:
                if len(text) >= characters:
                    told = language_detection.detect(text[:characters], known, sure, expected)
                    if told is not None:
                        return speaker_of(request, told)
            if len(text) < LANGUAGE_DETECTION_CHARACTERS and not complete:
                return None
            told = language_detection.detect(text[:LANGUAGE_DETECTION_CHARACTERS], known, expected=expected)
            told = told or next((language for language in clients if language in known), None)
            return speaker_of(request, told or fallback_language or self._default_language)

        known = self.catalogue

        def successor(request: SpeechRequest, speaker: ResolvedVoice) -> ResolvedVoice:
            if self.catalogue is known or speaker.kept is not None or request.reference is not None or clones:
                # What was taken from a recording is for the engine that took it.
                return speaker
            return speaker_of(request, speaker.language)

        admission.admit(protocol, client)
        limits = self._limits
        longest_s = limits.request_timeout_s or timeout_s or 0.0
        limits = replace(
            limits,
            max_text=max_text or limits.max_text,
            request_timeout_s=min(longest_s, timeout_s or longest_s),
        )
        surroundings = SessionContext(
            limits,
            admission,
            self._observer,
            find_speaker,
            speaker_of,
            successor,
            self.catalogue.languages,
            self.cloning,
            self._sessions.discard,
            self._renderer,
            self._lexicon,
            self._announce_code,
        )
        standing = (priorities or SessionPriorities()).add()
        session = SpeechSession(request, protocol, surroundings, speaker, standing, low_latency, prepare)
        self._sessions.add(session)
        return session

    def open_recognition(
        self, *, protocol: str, client: str = "", sample_rate: int, language: str | None = None
    ) -> RecognitionSession:
        """A session that hears a stream of ``sample_rate`` hertz; use it by ``async with``.

        language: a BCP 47 tag; None tells it from the speech. Raises Busy, UnsupportedLanguage, and
        EngineUnavailable where nobody listens.
        """
        admission, recognizer = self._admission, self.recognizer
        if admission is None:
            raise RuntimeError("the service has not started")
        if recognizer is None:
            raise EngineUnavailable("nobody listens here: start the server with KANI_RECOGNIZER=auto")
        spoken = languages.primary(language) if language else None
        if spoken is not None and spoken not in recognizer.info.languages:
            raise UnsupportedLanguage(spoken, ", ".join(sorted(recognizer.info.languages)))
        admission.admit(protocol, client)

        self._observer.recognition_opened(protocol)

        def closed(session: RecognitionSession) -> None:
            self._recognitions.discard(session)
            self._observer.recognition_closed(protocol)
            admission.release(protocol)

        session = RecognitionSession(
            recognizer,
            self._start_to_listen,
            sample_rate,
            spoken,
            closed,
            partial(self._observer.audio_recognized, protocol),
        )
        self._recognitions.add(session)
        return session

    async def _start_to_listen(self) -> None:
        """See that the recogniser is ready; the first who wants to be heard starts it for all."""
        assert self.recognizer is not None
        starting = self._starting_to_listen
        if starting is None or (starting.done() and starting.exception() is not None):
            starting = asyncio.create_task(self.recognizer.start(), name="recogniser's start")
            self._starting_to_listen = starting
        # Whoever leaves meanwhile leaves it to the others.
        await asyncio.shield(starting)
