"""Speech and recognition for programs that use asyncio."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from prometheus_client import CollectorRegistry

from kani.composition.settings import Settings, SettingsError, accepted_values, load
from kani.composition.speech_service import (
    build_diarizer,
    build_own_recognizer,
    build_reference_voice,
    build_service,
    build_turn_model,
    limits_of,
)
from kani.core.conversation.heard_turns import heard_turns
from kani.core.conversation.turns import TurnMachine, TurnRule, TurnStopped
from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.diarization.turns import divide_by_speaker
from kani.core.errors import EngineUnavailable, SpeechCancelled
from kani.core.expected_words import MAX_TEXT
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import RecognitionEvent, RecognizedWord, text_of
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.session.admission import Admission
from kani.core.session.context import Terms
from kani.core.session.recognition import RecognitionSession
from kani.core.session.session import SpeechSession
from kani.core.subtitles import segment_cues, words_and_cues
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import SpeechChunk, SpeechRequest, Voice
from kani.library.arguments import check_text, rate, speech_request, whole
from kani.library.results import Aligned, AlignedWord, Audio, Transcript, Word, turns_of
from kani.library.sounds import Pieces, Sound, mono, opened, recording_of
from kani.library.streams import GivesStreams, beside, closed_at_the_end, items_of

ONE_TURN = TurnRule(waits_for_words=True)
"""When ``AsyncRecognizer.hear`` ends."""

SPEAKERS = Range(1, MAX_SPEAKERS)

NO_FILE = Path(os.devnull)

LIBRARY = "library"
"""Name in the log instead of a protocol."""

Text = str | Iterable[str | None] | AsyncIterable[str | None]
"""A text, or its parts while it is still being written."""


def settings_of(**given: Any) -> Settings:
    """Return settings by their names in docs/settings.md; those not given come from the environment.

    Raises ``SettingsError``, a ValueError, which names the setting and the values it accepts.
    """
    try:
        return load(given, env_file=NO_FILE)
    except (AttributeError, TypeError):  # a value that is no text came to a parser of texts
        for name, value in given.items():
            try:
                load({name: value}, {}, NO_FILE)
            except (AttributeError, TypeError) as error:
                raise SettingsError(f"{name}: has to be {accepted_values(name)}") from error
        raise


class OwnService(GivesStreams):
    """Starts a service of its own at the beginning of an ``async with``, and stops it at the end."""

    _service: SpeechService

    async def __aenter__(self) -> Self:
        await self._service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_streams()
        await self._service.stop()


class AsyncSpeech(OwnService):
    """Speaks texts; use it by ``async with``, which loads the voices and frees them.

    engine: ``auto`` (Kokoro, and espeak-ng for further languages) or another name of ``--engine``. settings:
    those of the server by their names in docs/settings.md (``threads=2``). Entering raises EngineUnavailable.
    """

    def __init__(self, engine: str = "auto", **settings: Any) -> None:
        chosen = settings_of(engine=engine, **({"recognizer": "none"} | settings))
        self._service = build_service(chosen, Observer(), CollectorRegistry())

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices, stored ones included."""
        return tuple(self._service.catalogue.list())

    async def say(
        self,
        text: str,
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        emotion: str | None = None,
        reference: Sound | None = None,
    ) -> Audio:
        """Speak a text.

        voice: an id of ``voices``; language: a tag, a code or a name (``es-MX``, ``spa``, ``Spanish``),
        detected from the text if not given; speed: 0.25 to 4; emotion: a name such as ``happy``, or a blend
        (``happy:0.5,calm:0.5``); reference: a recording of a voice to be imitated. Raises InvalidRequest,
        which names the field, EngineFailed and TimedOut.
        """
        check_text("text", text)
        request = speech_request(voice, language, speed, emotion)
        async with await self._session(request, reference) as session:
            session.feed(text)
            session.finish()
            chunks = [chunk async for chunk in session]
            spoken = session.resolved_voice.voice if chunks else ""
        return Audio(
            np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)]),
            chunks[0].sample_rate if chunks else 24_000,
            text,
            tuple(span for chunk in chunks for span in chunk.spans),
            spoken,
        )

    @closed_at_the_end
    async def stream(
        self,
        text: Text,
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float | None = None,
        emotion: str | None = None,
        reference: Sound | None = None,
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the speech while it is made, and while the text is still being written.

        The first chunk comes before the text is complete. Spans count characters of the joined parts; a part
        that is None, as models send some, is none. The other arguments and the errors are those of ``say``;
        what an iterable of parts raises ends the speech.
        """
        request = speech_request(voice, language, speed, emotion)
        async with await self._session(request, reference) as session, beside(_feed(session, text)):
            async for chunk in session:
                yield chunk

    async def _session(self, request: SpeechRequest, reference: Sound | None) -> SpeechSession:
        if reference is not None:
            request = replace(request, reference=await recording_of(reference))
        return self._service.open(request, protocol=LIBRARY, terms=Terms(fallback_language="en"))


class AsyncRecognizer(GivesStreams):
    """Recognises speech; use it by ``async with``.

    recognizer: ``auto`` (Whisper) or another name of ``--recognizer``; settings: as for ``AsyncSpeech``. The
    model is loaded when it is first needed, which raises EngineUnavailable if it cannot be.
    """

    def __init__(self, recognizer: str = "auto", **settings: Any) -> None:
        chosen = settings_of(recognizer=recognizer, **settings)
        built = build_own_recognizer(chosen)
        if built is None:
            raise EngineUnavailable("recognizer: none recognises nothing")
        self._admission = Admission(limits_of(chosen), Observer())
        self._recognition = RecognitionService(
            *(built, Observer(), self._admission, build_turn_model(chosen.turn_model), build_diarizer()),
            reference_voice=build_reference_voice(),
        )

    async def __aenter__(self) -> Self:
        await self._recognition.prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_streams()
        self._recognition.cancel()
        await self._admission.wait_until_empty()
        await self._recognition.stop()

    async def transcribe(
        self, sound: Sound, *, language: str | None = None, prompt: str = "", speakers: bool | int = False
    ) -> Transcript:
        """Transcribe a recording of any length.

        language: a primary subtag or a language's name, detected if not given; prompt: text that may precede
        the recording, for its names and its spelling; speakers: True to tell who speaks, or the greatest
        number of speakers, 1 to 32. Raises InvalidRequest, for a file that is no recording as well, and
        EngineFailed.
        """
        check_text("language", language, optional=True)
        check_text("prompt", prompt)
        most = None if isinstance(speakers, bool) else whole("speakers", speakers, SPEAKERS)
        options = TranscriptionOptions(language=self._recognition.spoken(language), prompt=prompt)
        async with self._recognition.open_transcription(
            protocol=LIBRARY, options=options, diarize=speakers is not False
        ) as session:
            with await asyncio.to_thread(opened, sound, "sound") as file:
                async with aclosing(session.segments(file, float("inf"))) as segments:
                    found = [segment async for segment in segments]
            divided = divide_by_speaker(found, await session.speaker_turns(most))
            duration_s = session.duration_s
        return Transcript(
            "".join(segment.text for segment in found).strip(),
            tuple(Word(word.text, word.start_s, word.end_s) for segment in found for word in segment.words),
            found[0].language if found else "",
            duration_s,
            turns_of(divided),
            tuple(segment_cues(divided)),
        )

    async def align(self, sound: Sound, text: str, *, language: str | None = None) -> Aligned:
        """Find the words of a text in a recording of any length, with music and silence in it.

        No recogniser is needed. text: what is said, 300,000 characters at most; language: a tag, a code or a
        name, the text's own if not given. Raises InvalidRequest, for a file that is no recording as well.
        """
        check_text("text", text)
        check_text("language", language, optional=True)
        async with await self._recognition.open_alignment(LIBRARY, "", text, language) as session:
            with await asyncio.to_thread(opened, sound, "sound") as file:
                found = await session.align(file, float("inf"))
        words, cues = await asyncio.to_thread(words_and_cues, text, found.spans)
        aligned = (
            AlignedWord(word.text, word.start_s, word.end_s, 1 - found.loss_of(word.start, word.end))
            for word in words
        )
        return Aligned(text, tuple(aligned), 1 - found.loss, found.language, found.duration_s, tuple(cues))

    @closed_at_the_end
    async def listen(
        self, audio: Pieces, sample_rate: int, *, language: str | None = None, prompt: str = ""
    ) -> AsyncGenerator[RecognizedWord, None]:
        """Yield the words of ``audio`` while it comes; a word that was yielded is never taken back.

        audio: pieces of any length at ``sample_rate`` hertz, read in a thread where they block; prompt: as of
        ``transcribe``.
        """
        session = self._open(sample_rate, language, prompt)
        async with aclosing(_events(session, audio)) as events:
            async for event in events:
                if isinstance(event, RecognizedWord):
                    yield event

    @closed_at_the_end
    async def hear(
        self, audio: Pieces, sample_rate: int, *, language: str | None = None, prompt: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the text of one turn so far, word by word, and at last the whole. Arguments as of ``listen``.

        It ends once the speaker has said all, by sound and words, or with the audio.
        """
        session = self._open(sample_rate, language, prompt)
        session.judges_turns = True
        session.hear_turns_again()
        turns, words = TurnMachine(rate(sample_rate)), list[RecognizedWord]()
        async with (
            aclosing(_events(session, audio)) as events,
            aclosing(heard_turns(events, session, turns, ONE_TURN)) as heard_events,
        ):
            async for event in heard_events:
                if isinstance(event, RecognizedWord):
                    words.append(event)
                    yield text_of(words)
                elif isinstance(event, TurnStopped) and words:
                    break
            hearing = session.end_turn() if words else None
            if hearing is not None and (heard := await hearing.in_time()) is not None:
                yield heard.text

    def _open(self, sample_rate: int, language: str | None, prompt: str) -> RecognitionSession:
        check_text("language", language, optional=True)
        check_text("prompt", prompt)
        return self._recognition.open_recognition(
            protocol=LIBRARY, sample_rate=rate(sample_rate), language=language, prompt=prompt[-MAX_TEXT:]
        )


async def _events(session: RecognitionSession, audio: Pieces) -> AsyncGenerator[RecognitionEvent, None]:
    """Yield the events of a session, which hears ``audio``."""
    async with session:

        async def feed() -> None:
            try:
                async for piece in items_of(audio, "audio"):
                    await session.feed(mono(piece))
            finally:
                session.finish()

        async with beside(feed()) as feeding, aclosing(session.events()) as events:
            async for event in events:
                yield event
            if not feeding.done():
                raise SpeechCancelled


async def _feed(session: SpeechSession, text: Text) -> None:
    """Feed a text to its session; the session ends however this does."""
    try:
        async for part in items_of([text] if isinstance(text, str) else text, "text"):
            if part is not None:
                check_text("text", part)
                session.feed(part)
        session.finish()
    except BaseException:
        session.cancel()
        raise
