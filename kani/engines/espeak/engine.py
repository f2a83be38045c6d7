"""espeak-ng as an engine of the speech core: about a hundred languages, instantly, in a robotic voice."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from kani.core.audio.pcm import LEVEL_LUFS, decibels, from_pcm16
from kani.core.engine import Described, EngineInfo, Reading
from kani.core.errors import EngineUnavailable, UnknownVoice, UnsupportedLanguage
from kani.core.timing.reference_voice import ReferenceSpeech, ReferenceWord
from kani.core.types import Prosody, Segment, SpeechChunk, Voice
from kani.engines.espeak.client import EspeakClient, Pcm16
from kani.engines.espeak.native import DEFAULT_RATE, EspeakVoice, PhonemeEvent, SynthesisParameters, WordEvent
from kani.engines.espeak.words import WordChunker, WordGroup, WordGrouper
from kani.runtime.cancelling import wait_until_done
from kani_text.languages import canonical, primary

ENGINE = "espeak"
VOICE_PREFIX = "espeak:"

SPEED_RANGE = (0.5, 1.5)
"""Speeds that espeak-ng's rate renders accurately.

Measured on a sentence of each of es, en, de, fr, ar, zh: the length is 1/speed within 6 % here; at
2.0 it is up to 10 % off, at 2.5 14 %. Below 80 words a minute it stays the same, and from 450 on
another algorithm takes over and the length jumps.
"""

PROSODY_FIELDS = frozenset({"pitch", "pitch_range"})
"""Fields of ``Prosody`` that espeak-ng renders. Its volume clips from 3 dB on: the core filters loudness."""

# Measured on a sentence of each of es, en, ar: a step of its pitch is 0.176 semitones from 20 to 99 (the
# same in all); its range is as much wider as its number is greater than 50, within 10 % from 20 to 80,
# and raises the pitch by 0.05 semitones a step.
_NEUTRAL = 50
_SEMITONES_PER_STEP, _RAISED_PER_STEP = 0.176, 0.05
_MAX = 99

# Tags that espeak-ng's data spells in its own way.
_TAGS = {
    "cmn": "zh",
    "cmn-latn-pinyin": "zh-Latn-pinyin",
    # As the data has them, these are Catalan of Bosnia and of the Vatican, and Russian of Chile.
    "ca-ba": "ca-x-balear",
    "ca-nw": "ca-x-nordocc",
    "ca-va": "ca-valencia",
    "ru-cl": "ru-x-classic",
    "chr-us-qaaa-x-west": "chr",
    "piqd": "tlh",
    "vi-vn-x-central": "vi-VN-x-central",
    "yue-latn-jyutping": "yue-Latn-jyutping",  # a voice's name: its language is plain "yue"
}

LEVELS = Path(__file__).parent / "levels.json"
"""Loudness of each voice in LUFS, measured by ``tools/espeak_levels.py``."""

_USUAL_GAIN = decibels(LEVEL_LUFS + 20.9)  # of a voice that was not measured

# Default voice of a language with several voices, where it is not named as the language.
_DEFAULTS = {"en": "en-us", "pt": "pt-br", "zh": "cmn", "tlh": "piqd"}


class EspeakEngine(Described):
    """See ``kani.core.engine.Engine``. One thread does the work, in a thousandth of the audio's length."""

    def __init__(self) -> None:
        self._default_names: dict[str, str] = {}

    async def start(self) -> None:
        """Start espeak-ng's process. Raises EngineUnavailable."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        self._client = await asyncio.get_running_loop().run_in_executor(self._pool, EspeakClient.shared)
        self._default_names = default_voice_names(self._client.voices)
        self._languages = {voice.name: primary(tag(voice)) for voice in self._client.voices}
        self._gains = read_gains()
        self._info = EngineInfo(
            name=ENGINE,
            version=self._client.version,
            sample_rate=self._client.sample_rate,
            voices=tuple(
                Voice(VOICE_PREFIX + voice.name, voice.language_name, tag(voice), ENGINE)
                for voice in self._client.voices
            ),
            default_voices={language: VOICE_PREFIX + name for language, name in self._default_names.items()},
            speed_range=SPEED_RANGE,
            streams_inside_segment=True,
            native_prosody=PROSODY_FIELDS,
            reading=Reading(by_espeak=True),
        )

    async def stop(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; the first chunk is a word, the others last a second.

        A text without anything to say yields nothing. A voice of another language than the segment's is
        replaced by the default voice of that language. Raises UnknownVoice.
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
            # A job that runs ends within a step; one that has not begun is cancelled.
            if not job.cancel():
                await wait_until_done(asyncio.wrap_future(job))

    def _voice_for(self, segment: Segment) -> str:
        """Return the name of the segment's voice, or of the default voice if that has another language."""
        name = segment.voice.removeprefix(VOICE_PREFIX)
        if name not in self._languages:
            raise UnknownVoice(segment.voice)
        language = primary(segment.language)
        return name if self._languages[name] == language else self._default_names.get(language, name)

    def _speak(
        self, segment: Segment, voice: str, emit: Callable[[SpeechChunk], None], stop: threading.Event
    ) -> None:
        """Speak in the pool's thread, up to a little more than ``max_seconds``."""
        chunker = WordChunker(segment.text, self._client.sample_rate, self._gains.get(voice, _USUAL_GAIN))

        def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
            if (chunk := chunker.feed(pcm, words, phonemes)) is not None:
                emit(chunk)

        self._client.synthesize(
            segment.text,
            voice,
            on_audio,
            SynthesisParameters(round(DEFAULT_RATE * segment.speed), *pitch_parameters(segment.prosody)),
            should_stop=lambda: stop.is_set() or chunker.speech_s > segment.max_seconds,
        )
        if not stop.is_set() and (rest := chunker.finish()) is not None:
            emit(rest)


def pitch_parameters(prosody: Prosody) -> tuple[int, int]:
    """Return espeak-ng's pitch and pitch range (0–99, 50 is the voice's own) for ``prosody``."""
    pitch_range = min(round(_NEUTRAL * prosody.pitch_range), _MAX)
    semitones = prosody.pitch - _RAISED_PER_STEP * (pitch_range - _NEUTRAL)
    return min(max(round(_NEUTRAL + semitones / _SEMITONES_PER_STEP), 0), _MAX), pitch_range


def read_gains() -> dict[str, float]:
    """Read the gain of each voice by its loudness, by name. Raises EngineUnavailable."""
    try:
        levels = json.loads(LEVELS.read_text(encoding="utf-8"))
        return {voice: decibels(LEVEL_LUFS - float(lufs)) for voice, lufs in levels.items()}
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            "espeak-ng's levels are missing or broken: restore kani/engines/espeak/levels.json from the "
            "repository"
        ) from error


def default_voice_names(voices: Sequence[EspeakVoice]) -> dict[str, str]:
    """Return the default voice's name of each language: by table, named as the language, or the first."""
    names: dict[str, str] = {}
    for voice in voices:
        language = primary(tag(voice))
        if language not in names or voice.name == language:
            names[language] = voice.name
    return names | {language: name for language, name in _DEFAULTS.items() if language in names}


def tag(voice: EspeakVoice) -> str:
    return canonical(_TAGS.get(voice.name) or _TAGS.get(voice.language, voice.language))


class EspeakReferenceVoice:
    """``kani.core.timing.reference_voice.ReferenceVoice`` by espeak-ng. Its audio is never played."""

    async def languages(self) -> frozenset[str]:
        """See ``ReferenceVoice.languages``."""
        return await asyncio.to_thread(lambda: frozenset(default_voice_names(EspeakClient.shared().voices)))

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        """See ``ReferenceVoice.render``; takes a thousandth of the audio's length, in a thread."""
        return await asyncio.to_thread(_render, text, language, speed)


def _render(text: str, language: str, speed: float) -> ReferenceSpeech:
    client = EspeakClient.shared()
    voices = default_voice_names(client.voices)
    voice = voices.get(primary(language))
    if voice is None:
        raise UnsupportedLanguage(language, ", ".join(voices))
    grouper = WordGrouper(text)
    groups: list[WordGroup] = []
    pieces: list[Pcm16] = []

    def on_audio(pcm: Pcm16, words: Sequence[WordEvent], phonemes: Sequence[PhonemeEvent]) -> None:
        pieces.append(pcm)
        groups.extend(grouper.feed(words, phonemes))

    slowest, fastest = SPEED_RANGE
    rate = round(DEFAULT_RATE * min(max(speed, slowest), fastest))
    client.synthesize(text, voice, on_audio, SynthesisParameters(rate))
    pcm = np.concatenate([np.zeros(0, np.int16), *pieces])
    groups.extend(grouper.finish(len(pcm)))
    words = tuple(word for group in groups for word in _words(group))
    return ReferenceSpeech(from_pcm16(pcm), client.sample_rate, words)


def _words(group: WordGroup) -> list[ReferenceWord]:
    """Return the words of a group; without enough phonemes they share its time by their letters."""
    phonemes_by_word = group.phonemes_by_word()
    if phonemes_by_word is None:
        length = group.end_sample - group.start_sample
        whole = sum(group.letter_counts) or 1
        ends = [
            group.start_sample + round(at / whole * length) for at in np.cumsum([0, *group.letter_counts])
        ]
        return [
            ReferenceWord(*word, first, (first,))
            for word, (first, _) in zip(group.words, pairwise(ends), strict=True)
        ]
    starts = [group.start_sample, *(phonemes[0] for phonemes in phonemes_by_word[1:])]
    return [
        ReferenceWord(*word, start, phonemes)
        for word, start, phonemes in zip(group.words, starts, phonemes_by_word, strict=True)
    ]
