"""The audio between two commits of a client, recognised: partial and committed transcripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from kani.core.conversation.turns import TurnMachine, TurnStarted, TurnStopped
from kani.core.recognizer import STEP_S, RecognizedWord, Step, text_of
from kani.core.session.recognition import RecognitionSession
from kani.core.types import Samples
from kani.protocols.elevenlabs.realtime import messages
from kani.protocols.elevenlabs.realtime.config import SessionConfig

LONGEST_SEGMENT_S = 90.0
"""Seconds of audio after which a segment is committed without being asked for."""

Send = Callable[[str], Awaitable[None]]


class Recognition:
    """One recognition. Where the server commits at pauses, it has all segments of a connection."""

    def __init__(
        self, session: RecognitionSession | None, start_s: float, config: SessionConfig, send: Send
    ) -> None:
        """session: None without any audio; start_s: place of its audio in that of the connection (seconds).

        send: sends a message.
        """
        self._session = session
        self._start_s = start_s
        self._config = config
        self._send = send
        self._turns = TurnMachine(config.input_format.sample_rate)
        self._voiced_s = 0.0  # of the segment so far
        self._words: list[RecognizedWord] = []  # of the segment so far
        self._steps = 0  # of the segment so far
        self._begun = True  # False from a commit until speech goes on
        self.committed = False  # True once the client has committed: there is no more audio
        if session is not None and not config.include_timestamps:
            # The words of a segment that is heard as a whole would have no times.
            session.hear_turns_again()

    async def feed(self, samples: Samples) -> None:
        """Recognise audio; waits while too much is not recognised yet."""
        assert self._session is not None
        await self._session.feed(samples)

    def commit(self) -> None:
        """End the audio; ``run`` sends the transcript."""
        self.committed = True
        if self._session is not None:
            self._session.finish()

    async def aclose(self) -> None:
        """Free the session, if ``run`` is not called."""
        if self._session is not None:
            async with self._session:
                pass

    async def run(self) -> None:
        """Send the transcripts, up to the end of the audio. Raises SpeechError."""
        if self._session is None:
            await self._send_committed()
            return
        async with self._session as session, aclosing(session.events()) as events:
            async for event in events:
                if isinstance(event, RecognizedWord):
                    self._words.append(event)
                    self._turns.add_word(event)
                    await self._send(messages.partial(text_of(self._words)))
                elif isinstance(event, Step):
                    await self._take_step(event, session)
            if self.committed or self._words:
                await self._send_committed()

    async def _take_step(self, step: Step, session: RecognitionSession) -> None:
        self._steps += 1
        self._voiced_s += step.voiced_s(self._config.vad_threshold)
        stopped = False
        for change in self._turns.feed(step, self._config.rule):
            if isinstance(change, TurnStarted) and not self._begun:
                self._begun = True
                session.begin_turn(change.start_s)
            stopped = stopped or isinstance(change, TurnStopped)
        paused = stopped and self._voiced_s >= self._config.min_speech_duration_ms / 1000
        too_long = self._steps * STEP_S >= LONGEST_SEGMENT_S and not self.committed
        if self._words and (paused or too_long):
            await self._send_committed()
        elif stopped and not self._words:
            # A sound without words.
            self._voiced_s = 0.0

    async def _send_committed(self) -> None:
        words, self._words, self._steps = self._words, [], 0
        self._voiced_s = 0.0
        self._begun = False
        hearing = self._session.end_turn() if words and self._session is not None else None
        heard = None if hearing is None else await hearing.in_time()
        text, language = text_of(words), words[-1].language if words else ""
        if heard is not None:
            text, language = heard.text, heard.language
        await self._send(messages.committed(text))
        config = self._config
        if config.include_timestamps or config.include_language_detection:
            timed = words if config.include_timestamps else None
            await self._send(messages.committed_with_timestamps(text, language, timed, self._start_s))
