"""Students as an engine: loads them, describes them to the core, and speaks utterances by them.

They speak by Kokoro's session code, without what only Kokoro's network needs, each by two graphs on
onnxruntime: symbols to prosody, prosody to samples.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np
from typing_extensions import override

from kani.core.engine import LightVoices
from kani.core.errors import UnknownVoice
from kani.core.types import Samples, Segment, Voice
from kani.engines.kokoro.network.onnx_model import (
    FRAME_SAMPLES,
    Array,
    ModelFailed,
    Network,
    Stop,
    frame_counts,
)
from kani.engines.kokoro.network.parts import PredictedProsody, log_f0_of
from kani.engines.kokoro.pieces import WHOLE, Manner, PreparedUtterance, PreparingSynthesizer
from kani.engines.kokoro.pitch_control import amplified
from kani.engines.kokoro.student.files import (
    DECODER,
    PROSODY,
    StudentFacts,
    StudentFiles,
    find_students,
    unusable,
)
from kani.engines.kokoro.student.waveform import HOP, synthesize
from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani_text.languages import primary

# Half frames that a half frame of the spectra depends on, on either side (nine convolutions of seven taps),
# and those of the inverse transform.
_CONTEXT = 27
_OVERLAP = 2

# Frames of context that a part of an utterance is decoded with, on either side.
_CONTEXT_FRAMES = -(-(_CONTEXT + _OVERLAP) // 2)


class StudentModel:
    """Both graphs; thread-safe. All methods raise Stopped or ModelFailed."""

    def __init__(self, threads: int, files: StudentFiles) -> None:
        """Load and verify the graphs: 0.1 s. threads: cores for one call.

        Raises EngineUnavailable where one is missing or broken, and ModelFailed.
        """
        self.facts = files.facts
        self._prosody = Network(files.graph(PROSODY), threads)
        self._decoder = Network(files.graph(DECODER), threads, shrink_arena=True)

    def predict(self, symbols: str, speed: float, stop: Stop) -> PredictedProsody:
        """Predict the prosody of ``symbols`` (1–510 of the vocabulary) at ``speed``.

        Its ``asr`` is the text's features, [1, 128, 2F] here.
        """
        ids = np.array([[PAD, *(VOCABULARY[symbol] for symbol in symbols), PAD]], np.int64)
        text, pitch, energy, durations = self._prosody.run(
            {"ids": ids, "speed": np.array([speed], np.float32)},
            ("text", "pitch", "energy", "durations"),
            stop,
        )
        return PredictedProsody(text, pitch, energy, frame_counts(durations), log_f0_of(pitch))

    def decode(self, prosody: PredictedProsody, first: int, end: int, stop: Stop) -> Samples:
        """Decode the samples of frames [first, end), with as much context as they depend on."""
        frames = int(prosody.frames.sum())
        begin, until = max(first - _CONTEXT_FRAMES, 0), min(end + _CONTEXT_FRAMES, frames)
        part = slice(2 * begin, 2 * until)
        inputs = {
            "text": prosody.asr[:, :, part],
            "pitch": prosody.pitch[:, part],
            "energy": prosody.energy[:, part],
        }
        (spectra,) = self._decoder.run(inputs, ("spectra",), stop)
        samples = synthesize(spectra[0], prosody.pitch[0], 2 * begin) * np.float32(self.facts.gain)
        return samples[2 * (first - begin) * HOP : 2 * (end - begin) * HOP]


_GOES_ON = {
    "en": " ˈʌðɚ wˈʌnz kˈeɪm bˈæk hˈoʊm wɪð ðɛm æt nˈaɪt.",
    "es": " i luˈeɣo los ˈotɾos βolβjˈeɾon a kˈasa.",
    "fr": " e pyˈi lez otʁ sˈɔ̃ ʁɑ̃tʁˈez a la mɛzˈɔ̃.",
    "it": " e pˈɔi ʎɪ ˈaltrɪ sˌono tornˈatɪ a kˈaza.",
    "pt": " i depˈoɪz ʊz ˈowtrʊz vˌowtˈaɾɐ̃ʊ̃ pˌaɾæ kˈazæ.",
}
"""Words that stand for those that are not known yet; they are not spoken. Without them the words before would
be as fast as those of a short sentence.

English goes on inside the clause ("other ones came back home with them at night."). A clause of its own ("and
then the other ones came back home.") makes the last known word end a phrase: where two pieces meet, the pitch
predicted before and after one more word is known then differs by 0.62 semitones, not by 0.34 (71 seams)."""


_FIRST_FRAMES, _GROWTH = 40, 4
"""Frames of the first window, one second, and how many times longer each further one is. A window is decoded
while the one before it plays where a second of audio takes up to 0.2 s; the context costs 30 frames."""

_AHEAD_S = 0.5
"""Audio that the listener has, in seconds, with which nothing is gained by a short first window."""


class StudentSynthesizer(PreparingSynthesizer):
    """The voices of students.

    No style, so the expected length of a text (``min_symbols``) does not matter; no statistics of norms, so
    no timbre is kept from piece to piece; and their speed is not measured, as one step predicts all.
    """

    def __init__(
        self, students: Sequence[StudentFiles], loaded: Sequence[StudentModel], threads: int
    ) -> None:
        """students: each of another voice. loaded: those of them that need not be loaded any more."""
        super().__init__()
        self.files = {files.facts.voice: files for files in students}  # by voice
        self._models = {model.facts.voice: model for model in loaded}
        self._threads, self._loading = threads, Lock()
        self.facts = tuple(files.facts for files in students)  # the voices, and the language that each speaks
        # Of a language with several students Kokoro's own default voice speaks, or else the first.
        self.default_voices = {each.language: each.voice for each in reversed(self.facts)}
        kokoros = {language: voice for language, voice in DEFAULT_VOICES.items() if voice in self.files}
        self.default_voices |= kokoros

    def _model(self, voice: str) -> StudentModel:
        """Load a voice's student when it first speaks: 0.1 s, and 25 MiB that an unused one does not take."""
        with self._loading:
            model = self._models.get(voice)
            if model is None:
                model = self._models[voice] = StudentModel(self._threads, self.files[voice])
            return model

    def voice_of(self, segment: Segment) -> str:
        """Return the segment's voice; one that does not speak the language is replaced, as in
        ``VoiceCatalogue.resolve``. Raises UnknownVoice.
        """
        voice, language = segment.voice, primary(segment.language)
        if voice not in self.files:
            raise UnknownVoice(voice)
        return voice if self.files[voice].facts.language == language else self.default_voices[language]

    @override
    def prepare(
        self, symbols: str, segment: Segment, stop: Stop, manner: Manner = WHOLE
    ) -> PreparedUtterance:
        language, model = primary(segment.language), self._model(self.voice_of(segment))
        if not manner.complete:
            symbols += _GOES_ON.get(language, "")
        prosody = model.predict(symbols, segment.speed, stop)
        wanted, log_f0 = segment.prosody, model.facts.log_f0
        prosody = manner.applied(prosody, symbols, segment.language, wanted, log_f0)
        return PreparedByStudent(model, prosody, segment.ahead_s >= _AHEAD_S)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedByStudent:
    """An utterance's prosody, and the student that decodes it. See ``PreparedUtterance``.

    has_audio: the listener hears other audio until it begins.
    """

    model: StudentModel
    prosody: PredictedProsody
    has_audio: bool

    @property
    def level(self) -> float:
        return self.model.facts.level

    def windows(self, begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
        """Cut frames [begin, end) into windows that grow, so that a long sentence begins as soon as a short
        one; into one where the listener has audio to hear.
        """
        size = end - begin if self.has_audio else _FIRST_FRAMES
        while begin < end:
            stop = end if end - begin < 2 * size else begin + size
            yield begin, stop
            begin, size = stop, size * _GROWTH

    def decode(self, first: int, end: int, stop: Stop) -> Samples:
        return amplified(self.model.decode(self.prosody, first, end, stop), self.prosody, first)

    def after(self, spoken: PreparedUtterance, end: int, begin: int) -> PreparedUtterance:
        """Return the utterance with text, pitch and energy before ``begin`` as they were before ``end``.

        Decoded after its own prediction of the words before, the sound at ``begin`` may have the end of the
        last word once more, or lack some of it.
        """
        here, there = begin // HOP, end // HOP
        count, own, other = min(here, there), self.prosody, spoken.prosody

        def followed(values: Array, heard: Array) -> Array:
            kept = heard[..., there - count : there]
            return np.concatenate([values[..., : here - count], kept, values[..., here:]], axis=-1)

        prosody = replace(
            own,
            asr=followed(own.asr, other.asr),
            pitch=followed(own.pitch, other.pitch),
            energy=followed(own.energy, other.energy),
        )
        return replace(self, prosody=prosody)


_SYMBOLS = "ola, ola."
"""Symbols that every language has."""

_MOST_FRAMES = 200
"""Frames of a symbol, 5 s: a longer one was not learned from speech."""


def load_students(own: Path | None, voices: Sequence[Voice], threads: int) -> StudentSynthesizer:
    """Find the students that ship, and those in the folders of ``own``; voices: Kokoro's.

    Those that ship are loaded when they first speak, the others now. Raises EngineUnavailable for files that
    are missing, broken or no student's.
    """
    students = find_students(own, voices)
    for files in students:
        if files.ships:
            files.check()
    loaded = [_load(files, threads) for files in students if not files.ships]
    return StudentSynthesizer(students, loaded, threads)


def _load(files: StudentFiles, threads: int) -> StudentModel:
    try:
        model = StudentModel(threads, files)
        speaks = _speaks(model)
    except (ModelFailed, ValueError, IndexError) as error:
        # Arrays of other shapes are errors of numpy's.
        raise unusable(files.folder, f"its graphs are not a student's ({error})") from error
    if not speaks:
        raise unusable(files.folder, "its graphs give no speech for a text")
    return model


def _speaks(model: StudentModel) -> bool:
    """True if a text gets finite samples, as many as its durations say, and durations within bounds."""
    prosody = model.predict(_SYMBOLS, 1.0, Stop())
    durations = prosody.frames
    if len(durations) != len(_SYMBOLS) + 2 or not 1 <= durations.min() <= durations.max() <= _MOST_FRAMES:
        return False
    frames = int(durations.sum())
    curves = (1, 2 * frames)
    if prosody.asr.shape[2] != 2 * frames or prosody.pitch.shape != curves or prosody.energy.shape != curves:
        return False
    samples = model.decode(prosody, 0, frames, Stop())
    return len(samples) == frames * FRAME_SAMPLES and bool(np.isfinite(samples).all())


STUDENT_SLOTS = 40 * (os.cpu_count() or 1)
"""Streams that students speak at once on this machine; their speed is not measured. A second of audio takes a
core 0.01 processor seconds, a client's socket as much again, and the other half is left to Kokoro."""


def light_voices(students: Sequence[StudentFacts], *, always: bool) -> LightVoices:
    """Describe students beside Kokoro; always: they speak in every session."""
    return LightVoices({each.voice: each.language for each in students}, STUDENT_SLOTS, always)
