"""Cuts a recording into stretches of speech that the model transcribes one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kani.core.turns.speech_gate import SpeechGate
from kani.core.types import Samples
from kani.runtime.voice_detector import CHUNK_S, CHUNK_SAMPLES, SAMPLE_RATE, RecordingVoices

MAX_CHUNK_S = 14.0
"""Longest stretch. The model takes 30 s, but with five beams that costs 200 MB of memory for each core."""

# A stretch of that length is cut in a pause near its end.
_SHORTEST_S = 7.0
# Silence after which a stretch ends; shorter pauses are cheaper kept than a new stretch begun.
_END_SILENCE_S = 2.0
# Audio kept before and after the detected speech.
_MARGIN_S = 0.3
# Frames of silence before a recording: without them Whisper leaves out the end of a sentence at times.
_LEAD_FRAMES = math.ceil(_MARGIN_S / CHUNK_S)
# Frames of silence that are kept for the next stretch: speech is detected some frames after its onset.
_KEPT_FRAMES = _LEAD_FRAMES + 4
# Farthest that a word reaches beyond the detected speech.
_OUTSIDE_S = 0.05
# A frame is silent below this probability of a voice, and certainly speech from the other one on.
_SILENT, _SPEECH = 0.2, 0.5
# Shortest pause after a word: sounds such as [t] have less silence in them.
_PAUSE_S = 0.15
# Least speech after the last word that is transcribed by itself: less than that is breath, or a word's end.
_MIN_REST_S = 0.8
# Pause that ends an utterance. With less speech than the second, a language cannot be detected.
_UTTERANCE_PAUSE_S, _UTTERANCE_S = 0.5, 1.0
# Beginning of a recording in which speech is detected late.
_LATE_ONSET_S = 1.5
# Speech after the longest time of a word that is more than its end.
_SHORT_WORD_S = 0.2
# Recording that is searched for speech a second time.
_SHORT_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    start: int  # in samples of the recording; negative for the silence before it
    samples: Samples  # 16 kHz
    voices: tuple[float, ...]  # probability of a voice in each ``CHUNK_SAMPLES``

    @property
    def start_s(self) -> float:
        """Start of the stretch, in seconds of the recording."""
        return self.start / SAMPLE_RATE

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def speech_end_s(self) -> float:
        """End of the speech, in seconds of the stretch."""
        return CHUNK_S * max((at + 1 for at, voice in enumerate(self.voices) if voice >= _SILENT), default=0)

    def no_speech_probability(self, start_s: float, end_s: float) -> float:
        """Return the mean probability of no voice between two times in seconds of the stretch."""
        first = int(start_s * SAMPLE_RATE) // CHUNK_SAMPLES
        last = int(end_s * SAMPLE_RATE) // CHUNK_SAMPLES
        voices = self.voices[first : last + 1] or self.voices[-1:]
        return 1.0 - sum(voices) / len(voices) if voices else 1.0

    def voiced(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return the times of a word without the silence around it; in seconds of the stretch.

        The model's alignment ends a word where the next begins.
        """
        start_s, end_s = (max(at_s, -self.start_s) for at_s in (start_s, end_s))
        first, last = int(start_s / CHUNK_S), math.ceil(end_s / CHUNK_S)
        loud = [at for at in range(first, min(last, len(self.voices))) if self.voices[at] >= _SILENT]
        if not loud:
            return start_s, end_s
        voiced_start_s, voiced_end_s = loud[0] * CHUNK_S, (loud[-1] + 1) * CHUNK_S
        return max(start_s, voiced_start_s - _OUTSIDE_S), min(end_s, voiced_end_s + _OUTSIDE_S)

    def voiced_s(self, start_s: float, end_s: float) -> float:
        """Return the seconds of voice between two times in seconds of the stretch."""
        first, last = int(start_s / CHUNK_S), math.ceil(end_s / CHUNK_S)
        return CHUNK_S * sum(voice >= _SPEECH for voice in self.voices[first:last])

    def utterances(self) -> list[Chunk]:
        """Return what is said between long pauses; little speech belongs to what comes before."""
        cuts, silence = [0], 0
        for at, voice in enumerate((*self.voices, 1.0)):
            if voice >= _SILENT and silence * CHUNK_S >= _UTTERANCE_PAUSE_S:
                cuts.append(at - silence // 2)
            silence = silence + 1 if voice < _SILENT else 0
        cuts.append(len(self.voices))
        begin, parts = 0, []
        for cut, following in pairwise(cuts[1:]):
            both = (
                self.voiced_s(begin * CHUNK_S, cut * CHUNK_S),
                self.voiced_s(cut * CHUNK_S, following * CHUNK_S),
            )
            if min(both) >= _UTTERANCE_S:
                parts.append(self._part(begin, cut))
                begin = cut
        return [*parts, self._part(begin, len(self.voices))]

    def joined(self, following: Chunk) -> Chunk:
        """Return this part of a stretch with the one that follows it."""
        samples = np.concatenate([self.samples, following.samples])
        return Chunk(self.start, samples, self.voices + following.voices)

    def rest(self, told_s: float, least_s: float, most_s: float) -> Chunk | None:
        """Return the speech after the first pause from about ``told_s`` on; None without any.

        least_s, most_s: between which the last word told ends; all in seconds of the stretch. Whisper leaves
        out a sentence that repeats the one before it word for word, and all that follows. If speech goes on
        after ``most_s``, the rest begins where a voice is least likely.
        """
        first = max(int((told_s - _MARGIN_S) / CHUNK_S), math.ceil(least_s / CHUNK_S), 1)
        pause = self._pause_from(first)
        if self.voiced_s(most_s, pause * CHUNK_S) >= _SHORT_WORD_S:
            pause = _quietest(self.voices, first, first + 2 * math.ceil(_MARGIN_S / CHUNK_S))
        speech = [at for at in range(pause, len(self.voices)) if self.voices[at] >= _SPEECH]
        if len(speech) * CHUNK_S < _MIN_REST_S:
            return None
        return self._part(max(pause, speech[0] - math.ceil(_MARGIN_S / CHUNK_S)), len(self.voices))

    def _pause_from(self, first: int) -> int:
        """Return the frame from ``first`` on where a pause is certain; or the end."""
        silence = 0
        for at in range(first, len(self.voices)):
            silence = silence + 1 if self.voices[at] < _SILENT else 0
            if silence * CHUNK_S >= _PAUSE_S:
                return at
        return len(self.voices)

    def _part(self, first: int, last: int) -> Chunk:
        begin = first * CHUNK_SAMPLES
        end = len(self.samples) if last == len(self.voices) else last * CHUNK_SAMPLES
        return Chunk(self.start + begin, self.samples[begin:end], self.voices[first:last])


class ChunkCutter:
    """Cuts the audio of one recording; keeps no more of it than one stretch and what was fed last."""

    def __init__(self, voices: RecordingVoices, *, leads: bool = True) -> None:
        """leads: put silence before the audio; not before that of a turn, which has some of its own."""
        self._detector, self._lead = voices, _LEAD_FRAMES if leads else 0
        self._gate = SpeechGate()
        self._audio: Samples = np.zeros(self._lead * CHUNK_SAMPLES, np.float32)
        self._voices = [0.0] * self._lead
        self._start = -self._lead  # of the kept audio, in frames of the detector since the recording began
        self._open = False  # whether the kept audio begins a stretch

    def feed(self, samples: Samples) -> list[Chunk]:
        """Accept more audio; returns the stretches that are complete. Blocks: 2 ms for a second of audio."""
        self._audio = np.concatenate([self._audio, samples])
        chunks = []
        for voice in self._detector.feed(samples):
            self._voices.append(voice)
            self._gate.feed(voice)
            if not self._open:
                self._begin_at_onset()
            elif self._gate.silence_s >= _END_SILENCE_S:
                if self._has_speech:
                    chunks.append(self._cut(self._frames_until(self._gate.speech_end_s + _MARGIN_S)))
                self._open = False
            elif len(self._voices) * CHUNK_SAMPLES >= MAX_CHUNK_S * SAMPLE_RATE:
                chunks.append(self._cut(self._best_cut()))
        if not self._open and len(self._audio) > (_SHORT_S + self._lead * CHUNK_S) * SAMPLE_RATE:
            self._drop(len(self._voices) - _KEPT_FRAMES)
        return chunks

    def finish(self) -> list[Chunk]:
        """Return the last stretch, if any."""
        if self._start == -self._lead and not self._gate.speech_end_s:
            voices = self._detector.feed_after_silence(self._audio[self._lead * CHUNK_SAMPLES :])
            self._voices[self._lead :] = voices
            self._gate = SpeechGate()
            for voice in voices:
                self._gate.feed(voice)
            self._open = True
        if not (self._open and self._has_speech):
            return []
        # The last samples fill no whole frame, and belong to the stretch all the same.
        chunk = Chunk(self._start * CHUNK_SAMPLES, self._audio, tuple(self._voices))
        self._open = False
        return [chunk]

    @property
    def _has_speech(self) -> bool:
        """True if the kept audio holds speech, and not only the pause that it was cut in."""
        return self._gate.speech_end_s > max(self._start, 0) * CHUNK_S

    def _begin_at_onset(self) -> None:
        if self._gate.speaking:
            self._open = True
            margin_s = _MARGIN_S if self._gate.onset_s > _LATE_ONSET_S else _LATE_ONSET_S
            self._drop(self._frames_until(self._gate.onset_s - margin_s))

    def _frames_until(self, at_s: float) -> int:
        """Return the kept frames before a time in seconds of the recording."""
        frames = int(at_s * SAMPLE_RATE / CHUNK_SAMPLES) - self._start
        return min(max(frames, 0), len(self._voices))

    def _best_cut(self) -> int:
        """Return the number of frames of a stretch that is long enough."""
        return _quietest(self._voices, int(_SHORTEST_S * SAMPLE_RATE / CHUNK_SAMPLES), len(self._voices))

    def _cut(self, frames: int) -> Chunk:
        end = frames * CHUNK_SAMPLES
        chunk = Chunk(self._start * CHUNK_SAMPLES, self._audio[:end], tuple(self._voices[:frames]))
        self._drop(frames)
        return chunk

    def _drop(self, frames: int) -> None:
        if frames > 0:
            self._audio = self._audio[frames * CHUNK_SAMPLES :].copy()
            del self._voices[:frames]
            self._start += frames


def _quietest(voices: tuple[float, ...] | list[float], first: int, last: int) -> int:
    """Return the middle of the longest silence from frame ``first`` to ``last``, or the least voice."""
    longest, best, run = 0, 0, 0
    for at in range(first, last):
        run = run + 1 if voices[at] < _SILENT else 0
        # A later pause of the same length is better: the stretch is longer.
        if run and run >= longest:
            longest, best = run, at - run // 2
    return best or min(range(first, last), key=lambda at: (voices[at], -at))
