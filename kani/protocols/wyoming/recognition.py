"""Recognition of the audio between ``audio-start`` and ``audio-stop``."""

import time
from contextlib import aclosing
from typing import Final

import numpy as np

from kani.core.audio.pcm import mixed
from kani.core.audio.resampling import Resampler
from kani.core.conversation.heard_turns import heard_turns
from kani.core.conversation.turns import Patience, TurnMachine, TurnRule, TurnStopped
from kani.core.recognizer import RecognizedWord
from kani.core.service import SpeechService
from kani.core.session.recognition import Backlog, RecognitionSession
from kani.core.types import Samples
from kani.protocols.shared.errors import BadMessage
from kani.protocols.wyoming import events
from kani.protocols.wyoming.events import AudioFormat, Transcribe
from kani.protocols.wyoming.speaking import Send
from kani_text.writing import space_between

MAX_RATE_CHANGES = 16
"""Changes of the rate within one audio: each takes some milliseconds."""


class AudioInput:
    """Converts chunks to samples at the rate of the first of them."""

    def __init__(self, rate: int) -> None:
        """rate: hertz of the samples that are returned."""
        self.rate = rate
        self.seconds = 0.0  # seconds of audio so far
        self._chunk_rate = rate
        self._changes = 0
        self._resampler: Resampler | None = None

    def convert(self, pcm: bytes, form: AudioFormat) -> Samples:
        """Return what is ready of the audio so far. Raises BadMessage for a part of a sample, and where
        the rate changes too often.
        """
        samples = mono(pcm, form)
        self.seconds += len(samples) / form.rate
        before = self._change_rate(form.rate)
        ready = samples if self._resampler is None else self._resampler.feed(samples)
        return np.concatenate([before, ready]) if len(before) else ready

    def finish(self) -> Samples:
        return self._resampler.finish() if self._resampler is not None else np.zeros(0, np.float32)

    def _change_rate(self, rate: int) -> Samples:
        """Expect chunks of another rate; return the rest of the audio before them."""
        rest: Samples = np.zeros(0, np.float32)
        if rate != self._chunk_rate:
            self._changes += 1
            if self._changes > MAX_RATE_CHANGES:
                raise BadMessage(
                    f"audio-chunk: the rate changes too often (at most {MAX_RATE_CHANGES} times)"
                )
            if self._resampler is not None:
                rest = self._resampler.finish()
            self._resampler = Resampler(rate, self.rate) if rate != self.rate else None
            self._chunk_rate = rate
        return rest


def mono(pcm: bytes, form: AudioFormat) -> Samples:
    """Return little-endian PCM as mono samples; 8-bit audio is unsigned, as in WAV files."""
    frame = form.width * form.channels
    if len(pcm) % frame:
        raise BadMessage(f"audio-chunk: the payload has to be whole frames of {frame} bytes")
    return mixed(_samples(pcm, form.width).reshape(-1, form.channels).T)


def _samples(pcm: bytes, width: int) -> Samples:
    """Return samples in [-1, 1)."""
    samples: Samples
    if width == 1:
        samples = np.frombuffer(pcm, np.uint8).astype(np.float32) - np.float32(128)
    elif width == 3:
        # The three bytes as the upper ones of 32 bits, which keeps the sign.
        padded = np.zeros((len(pcm) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(pcm, np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**8)
    else:
        samples = np.frombuffer(pcm, f"<i{width}").astype(np.float32)
    scaled: Samples = samples / np.float32(2 ** (8 * width - 1))
    return scaled


PROTOCOL = "wyoming-asr"

MAX_AUDIO_S = 1800.0
"""Longest audio of one transcript (seconds)."""

RULES: Final = {
    "aggressive": TurnRule(Patience(0.2, 0.75, 0.3, 0.3), waits_for_words=True),
    "default": TurnRule(Patience(0.25, 1.5, 0.5, 0.5), waits_for_words=True),
    "relaxed": TurnRule(Patience(0.3, 2.0, 0.7, 1.0), waits_for_words=True),
}
"""Rules by which a command ends, by ``vad_sensitivity``."""

MAX_AHEAD_S = 2.0
"""Seconds that live audio may be ahead of real time, such as the audio before a wake word.
Audio that comes faster is a recording, which is heard to its end."""


class Recognition:
    """One recognition, from its first chunk of audio on.

    request: of the client; end_of_speech: whether the server ends every command.
    """

    def __init__(
        self,
        service: SpeechService,
        request: Transcribe,
        client: str,
        first: AudioFormat,
        backlog: Backlog,
        *,
        end_of_speech: bool,
    ) -> None:
        """Raises Busy, UnsupportedLanguage and EngineUnavailable."""
        self._language = request.language if request.language not in ("", "auto") else None
        self._audio = AudioInput(first.rate)
        ends = end_of_speech or bool(request.vad_sensitivity)
        # An unknown sensitivity is the default.
        self._rule = RULES.get(request.vad_sensitivity or "default", RULES["default"]) if ends else None
        self._started_at: float | None = None
        self._recorded = False
        self._session: RecognitionSession = service.recognition.open_recognition(
            protocol=PROTOCOL,
            client=client,
            sample_rate=first.rate,
            language=self._language,
            prompt=request.prompt,
            backlog=backlog,
        )
        self._session.judges_turns = ends
        self._session.hear_turns_again()

    @property
    def complete(self) -> bool:
        """True once all of its audio has come, or the command has ended: further audio is dropped."""
        return self._session.finished

    async def feed(self, pcm: bytes, form: AudioFormat) -> None:
        """Append a chunk, which is dropped once the command has ended. Raises BadMessage."""
        if self._session.finished:
            return
        samples = self._audio.convert(pcm, form)
        if self._audio.seconds > MAX_AUDIO_S:
            raise BadMessage(f"audio-chunk: too much audio for one transcript (at most {MAX_AUDIO_S:g} s)")
        now = time.monotonic()
        self._started_at = self._started_at or now
        self._recorded = self._recorded or self._audio.seconds > now - self._started_at + MAX_AHEAD_S
        await self._session.feed(samples)

    async def finish(self) -> None:
        await self._session.feed(self._audio.finish())
        self._session.finish()

    async def abandon(self) -> None:
        """Free the session of a recognition that is not answered."""
        async with self._session:
            pass

    async def answer(self, send: Send) -> None:
        """Send the words as they are decided, then the transcript. Raises SpeechError."""
        text = ""
        turns = TurnMachine(self._audio.rate)
        async with (
            self._session as session,
            aclosing(session.events()) as recognized,
            aclosing(heard_turns(recognized, session, turns, self._rule)) as heard_events,
        ):
            await send(events.transcript_start(self._language))
            async for event in heard_events:
                if isinstance(event, RecognizedWord):
                    piece = space_between(text, event.text) + event.text
                    text += piece
                    await send(events.transcript_chunk(piece))
                elif isinstance(event, TurnStopped) and not self._recorded:
                    # Audio that waits for a slow recogniser came after the command.
                    session.cancel()
            hearing = session.end_turn() if text else None
            if hearing is not None and (heard := await hearing.in_time()) is not None:
                text = heard.text
            await send_transcript(send, text, self._language)


async def send_transcript(send: Send, text: str, language: str | None) -> None:
    await send(events.transcript(text, language))
    await send(events.TRANSCRIPT_STOP)
