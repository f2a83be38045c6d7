"""espeak-ng as an engine of the speech core: every language it has, instantly, robotic."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from engines.cancelling import wait_until_done
from engines.espeak.client import DEFAULT_RATE, EspeakClient, EspeakVoice, Pcm16, PhonemeEvent, WordEvent
from engines.espeak.words import WordChunker
from speech.engine import EngineInfo
from speech.errors import UnknownVoice
from speech.text.languages import canonical, primary
from speech.types import Prosody, Segment, SpeechChunk, Voice

ENGINE = "espeak"
VOICE_PREFIX = "espeak:"

SPEED_RANGE = (0.5, 1.5)
"""Where espeak-ng's rate does what it says.

Measured on a sentence of each of es, en, de, fr, ar, zh: the length is 1/speed within 6 % here; at
2.0 it is up to 10 % off, at 2.5 14 %. Below 80 words a minute it stays the same, and from 450 on
another algorithm takes over and the length jumps.
"""

PROSODY_FIELDS = frozenset({"pitch", "pitch_range"})
"""What of a ``Manner`` espeak-ng renders. Its volume clips from 3 dB on: loudness is left to the core."""

# Measured on a sentence of each of es, en, ar: a step of its pitch is 0.176 semitones from 20 to 99 (the
# same in all); its range is as much wider as its number is greater than 50, within 10 % from 20 to 80,
# and raises the pitch by 0.05 semitones a step.
_NORMAL = 50
_SEMITONES_A_STEP, _RAISED_A_STEP = 0.176, 0.05
_HIGHEST = 99

# Tags that espeak-ng's data writes in a way of its own.
_TAGS = {
    "cmn": "zh",
    "cmn-latn-pinyin": "zh-Latn-pinyin",
    "chr-us-qaaa-x-west": "chr",
    "piqd": "tlh",
    "vi-vn-x-central": "vi-VN-x-central",
}

# The voice of a language that has several, where it is not the one named as the language.
_DEFAULTS = {"en": "en-us", "pt": "pt-br", "zh": "cmn", "tlh": "piqd"}


class EspeakEngine:
    """See ``speech.engine.Engine``. One thread does the work, a thousandth of the audio's length."""

    def __init__(self) -> None:
        self._info: EngineInfo | None = None
        self._default_names: dict[str, str] = {}

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``."""
        if self._info is None:
            raise RuntimeError("the engine has not started")
        return self._info

    async def start(self) -> None:
        """Load the library (2 ms). Raises EngineUnavailable."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        self._library = await asyncio.get_running_loop().run_in_executor(self._pool, EspeakClient.shared)
        self._default_names = default_voice_names(self._library.voices)
        self._info = EngineInfo(
            name=ENGINE,
            version=self._library.version,
            sample_rate=self._library.sample_rate,
            voices=tuple(
                Voice(VOICE_PREFIX + voice.name, voice.language_name, _tag(voice), ENGINE)
                for voice in self._library.voices
            ),
            default_voices={language: VOICE_PREFIX + name for language, name in self._default_names.items()},
            speed_range=SPEED_RANGE,
            streams_inside_segment=True,
            native_prosody=PROSODY_FIELDS,
        )

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await asyncio.to_thread(self._pool.shutdown)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; the first chunk is a word, the next ones a second.

        A text of which nothing can be said yields nothing. A voice of another language than the
        segment's gives way to that language's: they differ in nothing else. Raises UnknownVoice.
        """
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()
        stop = threading.Event()

        def emit(chunk: SpeechChunk | None) -> None:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        voice = self._voice_for(segment)
        job = self._pool.submit(self._speak, segment, voice, emit, stop)
        job.add_done_callback(lambda _: emit(None))
        try:
            while (chunk := await chunks.get()) is not None:
                yield chunk
            job.result()
        finally:
            stop.set()
            # Begun, it ends within a step; not begun, it never will.
            if not job.cancel():
                await wait_until_done(asyncio.wrap_future(job))

    def _voice_for(self, segment: Segment) -> str:
        name = segment.voice.removeprefix(VOICE_PREFIX)
        if not self._library.has_voice(name):
            raise UnknownVoice(segment.voice)
        language = primary(segment.language)
        own = next(primary(_tag(voice)) for voice in self._library.voices if voice.name == name)
        return name if own == language else self._default_names.get(language, name)

    def _speak(
        self,
        segment: Segment,
        voice: str,
        emit: Callable[[SpeechChunk], None],
        stop: threading.Event,
    ) -> None:
        """Speak in the pool's thread, up to a little more than ``max_seconds``."""
        chunker = WordChunker(segment.text, self._library.sample_rate)

        def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
            if (chunk := chunker.feed(pcm, words, phonemes)) is not None:
                emit(chunk)

        pitch, pitch_range = pitch_parameters(segment.prosody)
        self._library.synthesize(
            segment.text,
            voice,
            on_audio,
            rate=round(DEFAULT_RATE * segment.speed),
            pitch=pitch,
            pitch_range=pitch_range,
            should_stop=lambda: stop.is_set() or chunker.speech_s > segment.max_seconds,
        )
        if not stop.is_set() and (rest := chunker.finish()) is not None:
            emit(rest)


def pitch_parameters(manner: Prosody) -> tuple[int, int]:
    """espeak-ng's pitch and pitch range (0–99, 50 is the voice's own) for ``manner``."""
    pitch_range = min(round(_NORMAL * manner.pitch_range), _HIGHEST)
    semitones = manner.pitch - _RAISED_A_STEP * (pitch_range - _NORMAL)
    return min(max(round(_NORMAL + semitones / _SEMITONES_A_STEP), 0), _HIGHEST), pitch_range


def _tag(voice: EspeakVoice) -> str:
    return canonical(_TAGS.get(voice.language, voice.language))


def default_voice_names(voices: Sequence[EspeakVoice]) -> dict[str, str]:
    """The name of each language's voice: the one set, that named as the language, or the first."""
    names: dict[str, str] = {}
    for voice in voices:
        language = primary(_tag(voice))
        if language not in names or voice.name == language:
            names[language] = voice.name
    return names | {language: name for language, name in _DEFAULTS.items() if language in names}
