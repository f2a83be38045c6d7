"""Synthesises utterances window by window, in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kani.core.types import Samples, Segment
from kani.engines.kokoro.lead_in import cut_lead_in, lead_in
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    RenderedUtterance,
    Stop,
)
from kani.engines.kokoro.network.parts import (
    Features,
    NormAffine,
    NormStatistics,
    PredictedProsody,
    SplitModel,
)
from kani.engines.kokoro.pitch_control import SEMITONE, apply_pitch
from kani.engines.kokoro.speed_check import MEASURED_SYMBOLS, PredictionSpeed
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.timing import (
    TRAILING_SILENCE_S,
    TimedAudio,
    Timeline,
    symbol_edges,
    voiced_frame_range,
    word_boundary,
)
from kani.engines.kokoro.voice_embedding import LANGUAGES, mix_from_embedding, mix_language
from kani.engines.kokoro.voice_mix import MAX_PITCH_SHIFT, VoiceMix, VoiceOrMix, add_mix_prosody, voice_or_mix
from kani.engines.kokoro.voices import ACCENTED_VOICES, DEFAULT_VOICES, Voices
from kani.engines.kokoro.windows import OPENING_RATE, first_words, prediction_steps, windows
from kani.text.languages import primary

_FADE = round(0.005 * SAMPLE_RATE)
_SEARCHED = round(0.006 * SAMPLE_RATE)
_NOTHING = np.zeros(0, np.float32)


class WindowedSynthesizer:
    """Predicts the prosody of the utterance, then decodes it window by window."""

    def __init__(
        self,
        model: SplitModel,
        voices: Voices,
        statistics: StatisticsTable,
        speed: PredictionSpeed | None = None,
    ) -> None:
        self._model = model
        self._voices = voices
        self._statistics = statistics
        self.speed = speed or PredictionSpeed()
        """Speed of the predictions so far, of all segments."""

    def synthesize(
        self,
        utterance: Utterance,
        segment: Segment,
        stop: Stop,
        *,
        trailing_silence_s: float = TRAILING_SILENCE_S,
        in_steps: bool = True,
    ) -> Iterator[TimedAudio]:
        """Speak ``utterance`` with the voice, speed and prosody of ``segment``; its text is not used.

        A piece for each window; one for all of an utterance with a lead-in. trailing_silence_s: silence kept
        at most after the speech; in_steps: predict the prosody of the first words first where possible, so
        that sound begins sooner. Raises UnknownVoice, InvalidRequest for an unusable embedding, Stopped and
        ModelFailed.
        """
        lead = lead_in(utterance, segment.language)
        if not lead:
            pieces, count = Pieces(self, segment, in_steps=in_steps), len(utterance.words)
            yield from pieces.speak(utterance, 0, count, stop, trailing_silence_s=trailing_silence_s)
            return
        prosody, features = self.predict(lead + utterance.symbols, segment, stop)
        statistics = self.predict_statistics(self.voice_of(segment), prosody, features)
        norms = NormAffine.from_statistics(features, statistics)
        samples = self.decode_window(features, norms, 0, features.frames, stop)
        yield trim_whole(RenderedUtterance(samples, prosody.frames), utterance, lead, trailing_silence_s)

    def voice_of(self, segment: Segment) -> VoiceOrMix:
        """The segment's voice, or the mix that its embedding holds for its language.

        Raises InvalidRequest for an embedding of another engine.
        """
        if segment.embedding is None:
            return voice_or_mix(segment.voice)
        language = primary(segment.language)
        mix = mix_from_embedding(segment.embedding, mix_language(language), self._voices)
        if language in LANGUAGES or language in ACCENTED_VOICES:
            return mix
        return self._with_native_prosody(mix, language)

    def _with_native_prosody(self, mix: VoiceMix, language: str) -> VoiceMix:
        """The timbre and pitch of a mix with the prosody of the language's voice that is nearest in pitch."""
        log_f0 = self._statistics.log_f0(mix.prosody_voice) + mix.pitch * SEMITONE
        native = {
            voice.id: self._statistics.log_f0(voice.id)
            for voice in self._voices.all
            if primary(voice.language) == language
        }
        nearest = min(native, key=lambda voice: abs(native[voice] - log_f0))
        shift = float(np.clip((log_f0 - native[nearest]) / SEMITONE, -MAX_PITCH_SHIFT, MAX_PITCH_SHIFT))
        return VoiceMix(nearest, mix.timbre, shift)

    def predict(
        self, symbols: str, segment: Segment, stop: Stop, *, min_symbols: int = 0
    ) -> tuple[PredictedProsody, Features]:
        """Predict an utterance's prosody and features, with the segment's pitch applied.

        min_symbols: use the style of an utterance of at least this length.
        """
        voice = self.voice_of(segment)
        style = self._voices.style(voice, max(len(symbols), min_symbols))
        begun = time.perf_counter()
        prosody = self._model.predict_prosody(symbols, style, segment.speed, stop)
        prosody = apply_pitch(
            prosody, add_mix_prosody(segment.prosody, voice), self._statistics.log_f0(voice)
        )
        features = self._model.decode_features(prosody, style, stop)
        self.speed.note(len(symbols), time.perf_counter() - begun)
        return prosody, features

    def predict_statistics(
        self, voice: VoiceOrMix, prosody: PredictedProsody, features: Features
    ) -> NormStatistics:
        """Predict the norms' statistics in an utterance."""
        return self._statistics.predict(voice, prosody, features)

    def level(self, voice: VoiceOrMix) -> float:
        """Power of the loud parts of a voice or mix."""
        return self._statistics.level(voice)

    def decode_window(
        self, features: Features, norms: NormAffine, first: int, end: int, stop: Stop
    ) -> Samples:
        """Decode the samples of frames [first, end)."""
        return self._model.decode_window(features, norms, first, end, stop)


def sample_steps(synthesizer: WindowedSynthesizer, stop: Stop) -> Iterator[float]:
    """Speak a sentence as a client's is spoken; yields the seconds of audio that each step made."""
    segment = Segment("", DEFAULT_VOICES["en"], "en")
    prosody, features = synthesizer.predict(MEASURED_SYMBOLS, segment, stop)
    statistics = synthesizer.predict_statistics(segment.voice, prosody, features)
    norms = NormAffine.from_statistics(features, statistics)
    yield 0.0
    for first, end in windows(*voiced_frame_range(prosody)):
        yield len(synthesizer.decode_window(features, norms, first, end, stop)) / SAMPLE_RATE


class Pieces:
    """Speaks an utterance piece by piece, each intoned as part of an utterance that continues.

    For each piece the prosody of all words so far is predicted; the last few are not spoken yet. Pieces are
    joined in the middle of the space between two words, at the offset where their waveforms correlate best
    (the idea of WSOLA, Verhelst and Roelands 1993).
    """

    def __init__(
        self,
        synthesizer: WindowedSynthesizer,
        segment: Segment,
        *,
        min_symbols: int = 0,
        in_steps: bool = True,
        same_statistics: bool = False,
    ) -> None:
        """segment: voice, speed and prosody. min_symbols: see ``WindowedSynthesizer.predict``.

        in_steps: divide a long first piece by ``prediction_steps``; same_statistics: keep the first step's.
        """
        self._synthesizer = synthesizer
        self._segment = segment
        self._min_symbols = min_symbols
        self._in_steps = in_steps
        self._same_statistics = same_statistics
        self._statistics: NormStatistics | None = None
        self._tail = _NOTHING
        self._level = 0.0
        self._emitted = 0

    def speak(
        self,
        utterance: Utterance,
        first: int,
        until: int,
        stop: Stop,
        *,
        complete: bool = True,
        trailing_silence_s: float = TRAILING_SILENCE_S,
    ) -> Iterator[TimedAudio]:
        """Speak the words [first, until) of ``utterance``, all that is known so far; a window a step.

        complete: no words follow. Times count from the first sample of the first piece. Raises UnknownVoice,
        Stopped and ModelFailed.
        """
        self._min_symbols = max(self._min_symbols, len(utterance.symbols))
        steps = [(len(utterance.words), until)]
        if self._in_steps and first == 0:
            steps = list(prediction_steps(utterance, until, self._segment, self._synthesizer.speed.symbol_s))
        for index, (predicted, spoken) in enumerate(steps):
            opens = predicted < len(utterance.words)
            pieces = self._speak_step(
                first_words(utterance, predicted),
                first,
                spoken,
                stop,
                complete=complete and not opens,
                rate=OPENING_RATE if opens else 1.0,
                skipped_sizes=index,
                trailing_silence_s=trailing_silence_s,
            )
            yield from self._follow(pieces)
            first = spoken

    def insert(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        """Pass on audio of another utterance; words' times count from the first piece's first sample."""
        yield from self._follow(pieces)
        self._tail = _NOTHING

    def _follow(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        start_s = self._emitted / SAMPLE_RATE
        for piece in pieces:
            self._emitted += len(piece.samples)
            yield TimedAudio(piece.samples, tuple(word.shifted(start_s) for word in piece.words))

    def _speak_step(
        self,
        utterance: Utterance,
        first: int,
        until: int,
        stop: Stop,
        *,
        complete: bool,
        rate: float,
        skipped_sizes: int,
        trailing_silence_s: float,
    ) -> Iterator[TimedAudio]:
        """Speak the words [first, until) with the prosody of ``utterance`` at ``rate`` times its speed."""
        words, segment = utterance.words, replace(self._segment, speed=self._segment.speed * rate)
        voice = self._synthesizer.voice_of(segment)
        prosody, features = self._synthesizer.predict(
            utterance.symbols, segment, stop, min_symbols=self._min_symbols
        )
        if self._statistics is None or not self._same_statistics:
            self._statistics = self._synthesizer.predict_statistics(voice, prosody, features)
        norms = NormAffine.from_statistics(features, self._statistics)
        edges = symbol_edges(prosody.frames)
        begin, end = (frame * FRAME_SAMPLES for frame in voiced_frame_range(prosody))
        continues = first > 0
        if continues:
            begin = word_boundary(utterance, words[first - 1], words[first], edges)
        else:
            # The last piece is beyond the left context: there is nothing to join to.
            self._tail = _NOTHING
        if not complete:
            end = word_boundary(utterance, words[until - 1], words[until], edges)
        timeline: Timeline | None = None
        first_frame = max(begin - (_SEARCHED + _FADE if continues else 0), 0) // FRAME_SAMPLES
        last_frame = min(-(-(end + _FADE) // FRAME_SAMPLES), features.frames)
        for frame, next_frame in windows(first_frame, last_frame, skipped=skipped_sizes):
            samples = self._synthesizer.decode_window(features, norms, frame, next_frame, stop)
            last, tail = next_frame == last_frame, _NOTHING
            if last and not complete:
                cut = end - frame * FRAME_SAMPLES
                samples, tail = samples[:cut], samples[cut - _FADE : cut + _FADE]
            if timeline is None:
                at = self._best_cut(samples, begin - frame * FRAME_SAMPLES)
                timeline = Timeline(
                    utterance,
                    prosody.frames,
                    words=words[first:until],
                    first_sample=frame * FRAME_SAMPLES + at,
                    before=samples[:at] if continues else None,
                    level=self._level or self._synthesizer.level(voice),
                    trailing_silence_s=trailing_silence_s,
                )
                samples = self._joined(samples[at:])
            if last:
                self._tail = tail
            yield timeline.feed(samples, last=last and complete, cut=last and not complete)
            self._level = timeline.level

    def _best_cut(self, samples: Samples, at: int) -> int:
        """Return the place near ``at`` where samples are most similar to the last piece's end."""
        tail = self._tail
        if not len(tail):
            return at
        around = samples[at - _SEARCHED - _FADE : at + _SEARCHED + _FADE]
        alike = np.correlate(around, tail, "valid")
        power = np.convolve(np.square(around), np.ones(len(tail), np.float32), "valid")
        return at + int((alike / np.sqrt(power + np.float32(1e-6))).argmax()) - _SEARCHED

    def _joined(self, samples: Samples) -> Samples:
        """Cross-fade from the last piece's end to samples."""
        tail = self._tail
        if not len(tail):
            return samples
        samples = samples.copy()
        ramp = np.linspace(0.0, 1.0, _FADE, endpoint=False, dtype=np.float32)
        samples[:_FADE] = samples[:_FADE] * ramp + tail[_FADE:] * (1 - ramp)
        return samples


def trim_whole(
    rendering: RenderedUtterance, utterance: Utterance, lead: str, trailing_silence_s: float
) -> TimedAudio:
    """Trim and time the rendering of ``lead`` and ``utterance``."""
    if lead:
        rendering = cut_lead_in(rendering, lead)
    timeline = Timeline(utterance, rendering.frames, trailing_silence_s=trailing_silence_s)
    return timeline.feed(rendering.samples, last=True)
