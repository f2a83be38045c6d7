"""Front door of the core: opens speech and recognition sessions over the engines, and reports their load."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

from kani.core.chat_model import ChatModel
from kani.core.diarization.diarizer import Diarizer
from kani.core.engine import Engine, EngineInfo, Unloadable
from kani.core.errors import Busy, EngineUnavailable, StoreUnavailable
from kani.core.late_engine import LateEngine
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import Recognizer
from kani.core.request import validate
from kani.core.session.admission import Admission, Limits
from kani.core.session.budget import Budgets, Share
from kani.core.session.context import USUAL, SessionContext, Terms
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import DEFAULT_LANGUAGE, LanguageMemory, VoiceResolver
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.turns.pause_judge import TurnModel
from kani.core.types import Recording, SpeechRequest
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.core.voices.cloning import VoiceCloner
from kani.core.voices.store import CUSTOM_PREFIX
from kani_text import language_detection
from kani_text.languages import load_names
from kani_text.lexicon_file import LexiconFile
from kani_text.normalizer import TableError, check_tables

log = logging.getLogger(__name__)

LAST_MESSAGES_S = 1.0
"""Time for cancelled sessions to send their clients the error before connections are closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Settings of a service, and what it may have beside its engines; None disables a part."""

    default_language: str | None = None
    """BCP 47 tag, instead of the protocols' own where nothing tells a text's language."""
    default_voice: str | None = None
    """Id that replaces the default voice of its own language."""
    late_engine: LateEngine | None = None
    """An engine that is loaded in the background and then preferred to the others."""
    recognizer: Recognizer | None = None
    starts_recognizer: bool = False
    """True if it starts with the service, which fails where it cannot; else the first session starts it."""
    turn_model: TurnModel | None = None
    """Hears whether a speaker has said all, for the recognition sessions that ask for it."""
    diarizer: Diarizer | None = None
    """Tells the speakers of recordings apart."""
    reference_voice: ReferenceVoice | None = None
    """Finds the words in the audio of engines that do not time them, and in recordings."""
    lexicon: LexiconFile | None = None
    """The server's own pronunciations."""
    chat_model: ChatModel | None = None
    """Answers in conversations."""
    idle_unload_s: float | None = None
    """Seconds without a request after which the recogniser, and each engine but the first, is unloaded where
    it can be; None: never."""
    one_language: bool = False
    """True if quotations and sentences in another language are spoken as the text around them."""
    melody: float = 1.0
    """Factor of the melody of questions, lists and exclamations, where the request has none."""
    detects_language: bool = True
    """True if the detector of languages is loaded; False where the engines speak one."""


class SpeechService:
    """Speech synthesis and recognition over a list of engines and one recogniser."""

    def __init__(
        self, engines: Sequence[Engine], store: VoiceStore, limits: Limits, observer: Observer, parts: Parts
    ) -> None:
        """Nothing is started yet.

        engines: in order of preference: the first that supports a language speaks it.
        """
        self.store = store
        self.chat_model = parts.chat_model
        self._admission = Admission(limits, observer)
        self.budgets = Budgets()
        self.recognition = RecognitionService(
            parts.recognizer,
            observer,
            self._admission,
            parts.turn_model,
            parts.diarizer,
            starts_early=parts.starts_recognizer,
            budget=self.budgets.recognition,
            alignments=self.budgets.alignments,
            reference_voice=parts.reference_voice,
        )
        self._parts = parts
        self.late_engine = parts.late_engine
        self._engines_to_start = tuple(engines)
        self._engines: tuple[Engine, ...] = ()
        self.limits = limits
        self.observer = observer
        self._catalogue: VoiceCatalogue | None = None
        self.cloning = VoiceCloner(store, parts.default_language or DEFAULT_LANGUAGE)
        self._sessions: set[SpeechSession] = set()

    async def start(self) -> None:
        """Start the store, every engine, and the recogniser of a worker.

        Raises EngineUnavailable, StoreUnavailable, and UnknownVoice for the default voice.

        When one fails, those that were started are stopped again. The late engine is not awaited.
        """
        self.recognition.check()
        async with AsyncExitStack() as started:
            if self.chat_model is not None:
                await self.chat_model.start()
                started.push_async_callback(self.chat_model.stop)
            texts = asyncio.create_task(self._load_texts())
            await asyncio.to_thread(self.store.start)
            started.callback(self.store.stop)
            await asyncio.to_thread(self._check_default_voice)
            for engine in self._engines_to_start:
                await engine.start()
                started.push_async_callback(engine.stop)
            await self.recognition.prepare()
            started.push_async_callback(self.recognition.stop)
            catalogue = self._catalogue_of(self._engines_to_start)
            self.cloning.start(self._engines_to_start)
            await texts
            if self._parts.lexicon is not None:
                await self._parts.lexicon.refresh()
            started.pop_all()
        self._engines, self._catalogue = self._engines_to_start, catalogue
        self._admission.draining = False
        for engine in self._engines:
            self._add_slots(engine)
        if self.recognition.recognizer is not None:
            name = self.recognition.recognizer.info.name
            self.observer.watch_loaded(name, lambda: self.recognition.loaded)
        self._unload_idle()
        if self.late_engine is not None:
            self.late_engine.start(self._prefer)

    async def _load_texts(self) -> None:
        """Load names of languages, tables and the detector, side by side. Raises EngineUnavailable.

        They read for half a second, which the first request must not wait for.
        """
        loading = text_loads(detects_language=self._parts.detects_language)
        await asyncio.gather(*map(asyncio.to_thread, loading))

    def _check_default_voice(self) -> None:
        """Raise UnknownVoice for a stored voice that is not there, before an engine loads."""
        if self._parts.default_voice is not None and self._parts.default_voice.startswith(CUSTOM_PREFIX):
            with suppress(StoreUnavailable):
                if not self.store.get(self._parts.default_voice).language:
                    log.warning(
                        "the configured default voice %s has no language, so it replaces no default voice: "
                        "keep it again with its language",
                        self._parts.default_voice,
                    )

    def _catalogue_of(self, engines: Sequence[Engine]) -> VoiceCatalogue:
        return VoiceCatalogue(engines, self.store, self._parts.default_voice)

    def _prefer(self, engine: Engine) -> None:
        """Prefer an engine that has joined to the others, from each session's next segment on."""
        engines = (engine, *self._engines)
        # The one step that may fail (a file of the default voice is read) comes first.
        catalogue = self._catalogue_of(engines)
        self._add_slots(engine)
        self._engines, self._catalogue = engines, catalogue
        self.cloning.start(engines)
        self._unload_idle()

    def _unload_idle(self) -> None:
        """Let the recogniser, and every engine but the preferred one, unload while nothing needs it."""
        if self._parts.idle_unload_s is None:
            return
        for each in (*self._engines[1:], self.recognition.recognizer):
            if isinstance(each, Unloadable):
                each.unload_after(self._parts.idle_unload_s)

    def _add_slots(self, engine: Engine) -> None:
        self._admission.add_engine(engine)
        self.observer.watch_loaded(engine.info.name, partial(_is_loaded, engine))

    async def stop(self) -> None:
        """Cancel every session and stop the engines."""
        self._cancel_sessions()
        if self._catalogue is not None:
            self._admission.draining = True
            await self._admission.wait_until_empty()
            if self.late_engine is not None:
                await self.late_engine.stop()
            await self.recognition.stop()
            if self.chat_model is not None:
                await self.chat_model.stop()
            await self.cloning.stop()
            for engine in self._engines:
                await engine.stop()
            await asyncio.to_thread(self.store.stop)

    @property
    def still_loading(self) -> bool:
        """True after a ``stop`` that cancelled a start: a thread may still load a model."""
        late = self.late_engine
        return self.recognition.still_loading or (late is not None and late.state == "loading")

    def _cancel_sessions(self) -> None:
        for session in [*self._sessions]:
            session.cancel()
        self.recognition.cancel()

    async def drain(self, seconds: float) -> None:
        """Refuse new sessions, wait up to ``seconds`` for the open ones to finish, then cancel the rest.

        If a session's text is still being written, the session ends once what was fed is spoken. Recognition
        has no end of its own: it ends with the audio that was fed. Cancelled sessions have LAST_MESSAGES_S to
        send their clients the error.
        """
        if self._catalogue is None:
            return
        self._admission.draining = True
        self.recognition.finish()
        for session in [*self._sessions]:
            session.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._admission.wait_until_empty()
            return
        self._cancel_sessions()
        # A session stays open until its last message is sent, which is lost once the connection is closed.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_MESSAGES_S):
                await self._admission.wait_until_empty()

    @property
    def ready(self) -> bool:
        """True if the service has started and is not draining."""
        return self._catalogue is not None and not self._admission.draining

    @property
    def engines(self) -> tuple[EngineInfo, ...]:
        """Descriptions of the engines, in order of preference. Empty before ``start``."""
        return tuple(engine.info for engine in self._engines)

    @property
    def unloaded(self) -> frozenset[str]:
        """Names of the engines that are unloaded now."""
        return frozenset(engine.info.name for engine in self._engines if not _is_loaded(engine))

    @property
    def catalogue(self) -> VoiceCatalogue:
        """All voices. RuntimeError before ``start``."""
        if self._catalogue is None:
            raise RuntimeError("the service has not started")
        return self._catalogue

    def state(self) -> Admission:
        """Return what knows the load of the service: open sessions, slots in use, and waiting segments."""
        return self._admission

    def open(
        self,
        request: SpeechRequest,
        *,
        protocol: str,
        client: str = "",
        memory: LanguageMemory | None = None,
        terms: Terms = USUAL,
    ) -> SpeechSession:
        """Open a session for ``request``; use it by ``async with``, which frees it however the block is left.

        protocol: name for the metrics; client: address that the rate limit counts for; memory: the
        connection's or session's.

        Raises InvalidRequest or Busy.
        """
        validate(request)
        if self._parts.one_language:
            request = replace(request, quotations=False)
        voices = VoiceResolver(
            lambda: self.catalogue,
            request,
            default_language=self._parts.default_language or terms.fallback_language,
            memory=memory,
            cloning=terms.clones,
        )
        voice = voices.by_request(request)
        recording = self.budgets.references.open()
        if isinstance(request.reference, Recording):
            recording.resize(request.reference.samples.nbytes)
        try:
            self._admission.admit(protocol, client, rate_limited=terms.rate_limited)
        except Busy:
            recording.resize(0)
            raise
        self.recognition.leave_core()
        context = SessionContext(
            limits=terms.limits(self.limits),
            admission=self._admission,
            observer=self.observer,
            cloner=self.cloning,
            voices=voices,
            languages=self.catalogue.languages,
            closed=partial(self._closed, recording),
            memory=recording,
            terms=terms,
            reference_voice=self._parts.reference_voice,
            lexicon=self._parts.lexicon,
            melody=self._parts.melody,
        )
        session = SpeechSession(request, protocol, context, voice)
        self._sessions.add(session)
        return session

    def _closed(self, recording: Share, session: SpeechSession) -> None:
        recording.resize(0)
        self._sessions.remove(session)


def _is_loaded(engine: Engine) -> bool:
    return not isinstance(engine, Unloadable) or engine.loaded


def text_loads(*, detects_language: bool) -> list[Callable[[], None]]:
    """Return what loads names of languages, tables and the detector, each once in a process. They block."""
    return [load_names, _load_tables, *([language_detection.load_detector] if detects_language else [])]


def _load_tables() -> None:
    """Load the tables of the normalizer. Raises EngineUnavailable."""
    try:
        check_tables()
    except TableError as error:
        raise EngineUnavailable(f"the text normalization tables are invalid: {error}") from error
