"""Opens recognition and transcription sessions over the recogniser.

The first session starts the recogniser; ``prepare`` starts one that has to be asked for its languages.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import Any

from kani.core import request_ids, tracing
from kani.core.diarization.diarizer import SAMPLE_RATE, Diarizer
from kani.core.engine import Unloadable
from kani.core.errors import EngineUnavailable, InvalidRequest, TextTooLong, UnsupportedLanguage
from kani.core.observer import Observer
from kani.core.recognizer import Recognizer
from kani.core.session import alignment
from kani.core.session.admission import Admission
from kani.core.session.alignment import AlignmentSession
from kani.core.session.budget import Budget, Budgets
from kani.core.session.recognition import Backlog, RecognitionContext, RecognitionSession
from kani.core.session.transcription import TranscriptionSession, Voices
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.transcriber import CoreSharing, Transcriber, TranscriptionOptions
from kani.core.turns.pause_judge import TurnModel
from kani_text import language_detection, languages
from kani_text.heard import scripts
from kani_text.normalizer import speakable

_ANY = frozenset(("auto", "und"))
"""Names of no language: it is detected."""

DISABLED = "speech recognition is disabled; set KANI_RECOGNIZER=auto"


@dataclass(eq=False)
class RecognitionService:
    """The recogniser, if there is one, and its open sessions."""

    recognizer: Recognizer | None
    _observer: Observer
    _admission: Admission
    _turn_model: TurnModel | None = None  # without one the pauses' length is all that tells turns
    _diarizer: Diarizer | None = None  # hears voices, and tells speakers apart; None refuses both
    _: KW_ONLY
    starts_early: bool = False
    """True if ``prepare`` starts the recogniser: then it is known at once if it cannot start."""
    budget: Budget = field(default_factory=lambda: Budgets().recognition)
    """Bounds the audio of all sessions that waits for the recogniser."""
    alignments: Budget = field(default_factory=lambda: Budgets().alignments)
    """Bounds what all alignments hold in memory."""
    reference_voice: ReferenceVoice | None = None
    """Finds the words of given texts in recordings."""
    _recognitions: set[RecognitionSession] = field(default_factory=set)
    _recordings: set[TranscriptionSession | AlignmentSession] = field(default_factory=set)
    _started: asyncio.Task[None] | None = None
    still_loading: bool = False
    """True after a ``stop`` that cancelled a start: a thread may still load the model."""

    @property
    def loaded(self) -> bool:
        """True if the recogniser is in memory."""
        start = self._started
        if start is None or not start.done() or start.cancelled() or start.exception() is not None:
            return False
        return not isinstance(self.recognizer, Unloadable) or self.recognizer.loaded

    @property
    def hears_live(self) -> bool:
        """True if live speech is recognised, as far as is known."""
        return self.recognizer is not None and not self.recognizer.info.recordings_only

    def leave_core(self) -> None:
        """Have recordings leave a core to speech, which is asked for now: those that come soon, too."""
        if isinstance(self.recognizer, CoreSharing):
            self.recognizer.leave_core()

    def check(self) -> None:
        """Raise EngineUnavailable for a recogniser that is to start early, and is known not to be able to."""
        if self.starts_early and self.recognizer is not None and self.recognizer.info.unavailable_reason:
            raise EngineUnavailable(self.recognizer.info.unavailable_reason)

    async def prepare(self) -> None:
        """Start a recogniser that is to start early, or has to be asked for its languages.

        Raises EngineUnavailable.
        """
        if self.recognizer is not None and (self.starts_early or not self.recognizer.info.languages):
            await self._start()

    def open_recognition(
        self,
        *,
        protocol: str,
        client: str = "",
        sample_rate: int,
        language: str | None = None,
        prompt: str = "",
        candidates: frozenset[str] = frozenset(),
        backlog: Backlog | None = None,
    ) -> RecognitionSession:
        """Open a session for audio of ``sample_rate`` hertz; use it by ``async with``.

        protocol: name for the metrics; client: address that the rate limit counts for; backlog: of a
        connection with several sessions.
        language: a BCP 47 tag; None detects it from the speech; prompt: text that may precede the speech, for
        its names, ``expected_words.MAX_TEXT`` characters at most; candidates: as of ``TranscriptionOptions``.
        Raises Busy, UnsupportedLanguage, and EngineUnavailable where recognition is disabled, or too slow for
        live speech.
        """
        recognizer = self._available()
        if recognizer.info.recordings_only:
            raise EngineUnavailable(recognizer.info.recordings_only)
        spoken = self.spoken(language)
        context = self._admit("recognition", protocol, client, recognizer.info.name, spoken, candidates)
        backlog = backlog or self.open_backlog()
        primary = languages.primary(spoken) if spoken else None
        session = RecognitionSession(
            *(context, recognizer, sample_rate, primary, prompt, _primaries(candidates)),
            *(self._turn_model, backlog),
        )
        self._recognitions.add(session)
        return session

    def open_backlog(self) -> Backlog:
        """Return the backlog of a new connection."""
        return Backlog(self.budget.open())

    def open_transcription(
        self, *, protocol: str, client: str = "", options: TranscriptionOptions, diarize: bool = False
    ) -> TranscriptionSession:
        """Open a session that transcribes one recording; use it by ``async with``.

        protocol, client: as of ``open_recognition``; options: with languages that ``spoken`` has returned;
        diarize: whether its ``speaker_turns`` are asked for. Raises Busy, and EngineUnavailable where
        recognition is disabled.
        """
        recognizer = self._available()
        if not isinstance(recognizer, Transcriber):
            raise EngineUnavailable(f"the recogniser {recognizer.info.name} transcribes no recordings")
        diarizer = self._told_apart() if diarize else None
        context = self._admit(
            "transcription", protocol, client, recognizer.info.name, options.language, options.candidates
        )
        options = replace(
            options,
            language=languages.primary(options.language) if options.language else None,
            candidates=_primaries(options.candidates),
        )
        session = TranscriptionSession(context, recognizer, recognizer.info.sample_rate, options, diarizer)
        self._recordings.add(session)
        return session

    def open_voices(
        self, protocol: str, client: str, *, diarize: bool
    ) -> tuple[Voices, TranscriptionSession]:
        """Open a session that hears the voices in one recording, without words and a recogniser.

        The arguments are those of ``open_transcription``. Raises EngineUnavailable and Busy.
        """
        diarizer = self._told_apart()
        voices = Voices(None if diarize else diarizer)
        context = self._admit("voices", protocol, client, "voices", None)
        session = TranscriptionSession(
            replace(context, start=partial(asyncio.sleep, 0)),
            voices,
            SAMPLE_RATE,
            TranscriptionOptions(),
            diarizer if diarize else None,
        )
        self._recordings.add(session)
        return voices, session

    def _told_apart(self) -> Diarizer:
        if self._diarizer is None:
            raise EngineUnavailable("this server does not tell speakers apart")
        return self._diarizer

    async def open_alignment(
        self, protocol: str, client: str, text: str, language: str | None = None
    ) -> AlignmentSession:
        """Open a session that finds a text in one recording, without a recogniser; use it by ``async with``.

        protocol, client: as of ``open_recognition``; language: a tag, a code or a name, the text's own if not
        given. Raises InvalidRequest for ``text``, UnsupportedLanguage, EngineUnavailable and Busy.
        """
        if self.reference_voice is None or self._diarizer is None:
            raise EngineUnavailable("this server aligns no texts")
        if len(text) > alignment.MAX_TEXT:
            raise TextTooLong(alignment.MAX_TEXT)
        if not speakable(text):
            raise InvalidRequest("text", "has no words")
        known = await self.reference_voice.languages()
        spoken = spoken_language(language, known) if language else None
        if spoken is None:
            spoken = await asyncio.to_thread(language_detection.detect, text, known, 0.0) or "en"
        context = self._admit("alignment", protocol, client, "alignment", spoken)
        memory = self.alignments.open()
        session = AlignmentSession(context, self.reference_voice, self._diarizer.voices, text, spoken, memory)
        self._recordings.add(session)
        return session

    def _admit(
        self,
        kind: str,
        protocol: str,
        client: str,
        engine: str,
        language: str | None,
        candidates: frozenset[str] = frozenset(),
    ) -> RecognitionContext:
        """Admit a session, and return what it gets; kind: name of its span. Raises Busy."""
        varieties = candidates | ({language} if language else set())
        self._admission.admit(protocol, client)
        self._observer.recognition_opened(protocol)
        attributes = {
            "speech.protocol": protocol,
            "speech.engine": engine,
            "speech.language": language,
            "request.id": request_ids.current(),
        }
        return RecognitionContext(
            partial(self._start, varieties),
            partial(self._closed, protocol),
            partial(self._observer.audio_recognized, protocol),
            tracing.current().child(kind, attributes),
            varieties,
        )

    def _closed(self, protocol: str, session: Any) -> None:
        self._recognitions.discard(session)
        self._recordings.discard(session)
        self._observer.recognition_closed(protocol)
        self._admission.release(protocol)

    def spoken(self, language: str | None) -> str | None:
        """Return ``spoken_language`` of the recogniser's languages; None for one to be detected.

        Raises UnsupportedLanguage, and EngineUnavailable where recognition is disabled.
        """
        known = self._available().info.languages
        return spoken_language(language, known) if language else None

    def finish(self) -> None:
        """End the recognitions with the audio that was fed, as it has no end of its own."""
        for recognition in [*self._recognitions]:
            recognition.finish()

    def cancel(self) -> None:
        """End every session."""
        self.finish()
        for recording in [*self._recordings]:
            recording.cancel()

    async def stop(self) -> None:
        """Stop the recogniser; no session may be open. A start that is under way is cancelled.

        A thread that loads the model goes on (see ``still_loading``).
        """
        if self.recognizer is None or self._started is None:
            return
        self._started.cancel()
        await asyncio.wait([self._started])
        self.still_loading = self._started.cancelled()
        if not self.still_loading and self._started.exception() is None:
            await self.recognizer.stop()

    def _available(self) -> Recognizer:
        if self.recognizer is None:
            raise EngineUnavailable(DISABLED)
        return self.recognizer

    async def _start(self, varieties: Collection[str] = ()) -> None:
        """Start the recogniser, unless an earlier session has; a start that failed is repeated.

        varieties: languages that may be spoken.
        """
        assert self.recognizer is not None
        start = self._started
        if start is None or (start.done() and (start.cancelled() or start.exception() is not None)):
            start = asyncio.create_task(self.recognizer.start(), name="recogniser's start")
            self._started = start
        try:
            # A session that is cancelled meanwhile must not cancel the start for the others.
            await asyncio.shield(start)
            await asyncio.to_thread(scripts.load, {*varieties, "zh"})
        except MemoryError as error:
            reason = f"too little memory is free to load the recogniser {self.recognizer.info.name}"
            raise EngineUnavailable(reason, passing=True) from error


def _primaries(tags: Collection[str]) -> frozenset[str]:
    return frozenset(map(languages.primary, tags))


def spoken_language(name: str, known: Collection[str]) -> str | None:
    """Return the language of a code, a BCP 47 tag or a language's name; None for one to be detected.

    As ``scripts.variety`` returns it: its primary subtag, with its letters where they are a choice.
    known: primary subtags of the recogniser's languages. Only the engines' languages are known by their
    names. Raises UnsupportedLanguage.
    """
    given = name.strip()
    if languages.primary(given) in _ANY:
        return None
    # A recogniser has one of the codes of its language: "no" or "nb", "tl" or "fil", "jw" or "jv".
    own = {languages.primary(languages.by_code(code)): code for code in known}
    tag = languages.by_code(given)
    if languages.primary(tag) not in own:
        with suppress(UnsupportedLanguage):
            tag = languages.resolve(given)
    code = languages.primary(tag)
    if code not in own:
        raise UnsupportedLanguage(given, ", ".join(sorted(known)))
    return scripts.variety(tag) if own[code] == code else own[code]
