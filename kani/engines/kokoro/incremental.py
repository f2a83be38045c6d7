"""Incremental synthesis: speaks a sentence while its text is still arriving.

When enough new words are there, the prosody of the whole sentence so far is predicted, but only the new words
are decoded, up to a few before the last one known (``pieces.Pieces``).
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kani.core.audio.playback import Playback
from kani.core.types import Pronunciation, Segment, SpeechChunk
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.pieces import Pieces, PreparingSynthesizer
from kani.engines.kokoro.pitch_control import with_rises
from kani.engines.kokoro.text.phonemes import Utterance, split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.timing import SILENCE_BETWEEN_UTTERANCES_S, TimedAudio, speech_chunk
from kani.engines.kokoro.windows import LOOKAHEAD_WORDS, MARKS, count_speakable
from kani_text.incremental_text import IncrementalText
from kani_text.writing import HAN_AND_KANA

_CONTEXT_WORDS = 10
"""Words of left context for the prosody where the sentence is too long to predict as a whole."""

_ASSUMED_SYMBOLS = 60
"""Assumed length of the sentence in symbols: a voice has a style for each length, and with the style for the
few words so far all would be spoken too fast. By predicted durations, sentences of 3 to 4 s take 1.01 to 1.05
of the time that they take whole, longer ones 0.98 to 0.99; with 90 symbols 1.05 to 1.12, and 1.0 to 1.01."""

# Words needed, besides the lookahead, to begin a sentence while its text arrives, and to continue it.
# It continues with fewer before the listener runs out of audio.
_FIRST_WORDS = 2
_MORE_WORDS = 5

_SAFETY_S = 0.05
"""Audio that the listener should still have when the next piece begins to play."""

# Counted without a dictionary: of Han characters and kana a word has two or more.
_WORD = re.compile(rf"[{HAN_AND_KANA}]{{1,2}}[{re.escape(''.join(MARKS))}]*|[^\s{HAN_AND_KANA}]+")


class PieceTiming:
    """Positions the chunks of a sentence's pieces, and tracks how much audio the listener has left."""

    def __init__(self, gain: float) -> None:
        """gain: of the voice."""
        self._gain = gain
        self._playback = Playback()
        self._end_s = 0.0
        self._begun = 0.0
        self._latency_s: float | None = None

    @property
    def spare_s(self) -> float:
        """Seconds that the next piece may begin later: its latency is taken to be that of the last one."""
        return self._playback.remaining_s - (self._latency_s or 0.0) - _SAFETY_S

    def begin_piece(self) -> None:
        self._begun, self._latency_s = time.monotonic(), None

    def add(self, audio: TimedAudio) -> SpeechChunk:
        """Convert audio of the current piece to the sentence's next chunk."""
        if self._latency_s is None:
            self._latency_s = time.monotonic() - self._begun
        chunk = speech_chunk(audio, self._end_s, self._gain)
        self._end_s = chunk.end_s
        self._playback.add(chunk.duration_s)
        return chunk


class IncrementalSentence:
    """One sentence with text that grows; works in the calling thread."""

    def __init__(self, synthesizer: PreparingSynthesizer, reader: TextReader, segment: Segment) -> None:
        """segment: voice, speed and prosody; its text is not used."""
        self._synthesizer = synthesizer
        self._reader = reader
        self._segment = segment
        self._pieces = Pieces(synthesizer, segment, min_symbols=_ASSUMED_SYMBOLS, same_statistics=True)
        self._base = 0
        self.spoken_length = 0  # characters of the text spoken so far

    def count_ready_words(self, text: str) -> int:
        """Number of new words of the unfinished ``text`` that can be spoken now: all but the lookahead.

        Words before a mark inside the sentence need no lookahead.
        """
        new = _WORD.findall(text, self.spoken_length)
        marked = (count for count, word in enumerate(new[:-1], 1) if word[-1] in MARKS)
        return max(len(new) - LOOKAHEAD_WORDS, *marked, 0)

    def synthesize(
        self, text: str, ending: str | None, stop: Stop, pronunciations: Sequence[Pronunciation] = ()
    ) -> Iterator[TimedAudio]:
        """Speak the new words of ``text``, the whole sentence so far; yields one window a step.

        ending: mark that closes a complete text without one, None while the sentence continues;
        pronunciations: parts of the text with their IPA. Times count from the sentence's first sample.
        Raises UnknownVoice, Stopped and ModelFailed.
        """
        *long, utterance = self._utterances(text, ending, pronunciations)
        for part in long:
            # More words arrived at once than fit into one utterance.
            yield from self._pieces.insert(
                self._synthesizer.synthesize(
                    part, self._segment, stop, trailing_silence_s=SILENCE_BETWEEN_UTTERANCES_S
                )
            )
            self.spoken_length = part.words[-1].end
        words, complete = utterance.words, ending is not None
        first = next((at for at, word in enumerate(words) if word.end > self.spoken_length), len(words))
        until = len(words) if complete else count_speakable(utterance, len(words))
        if until > first:
            self.spoken_length = words[until - 1].end
            yield from self._pieces.speak(utterance, first, until, stop, complete=complete)
        if complete:
            self.spoken_length = len(text)

    def _utterances(
        self, text: str, ending: str | None, pronunciations: Sequence[Pronunciation]
    ) -> list[Utterance]:
        """Utterances for the new words of ``text``, with as much left context as fits.

        More than one only where the new words by themselves exceed the longest utterance.
        """
        while True:
            ahead = [
                replace(one, start=one.start - self._base, end=one.end - self._base)
                for one in pronunciations
                if one.start >= self._base
            ]
            parts = split_utterances(
                text[self._base :], self._reader, ending=ending or "", pronunciations=ahead
            )
            if len(parts) <= 1 or self._base >= self.spoken_length:
                break
            before = list(_WORD.finditer(text, self._base, self.spoken_length))[-_CONTEXT_WORDS:]
            # If that is too long as well, no left context at all.
            back = before[0].start() if before else self.spoken_length
            self._base = back if back > self._base else self.spoken_length
        moved = [
            replace(
                part,
                words=tuple(
                    replace(word, start=word.start + self._base, end=word.end + self._base)
                    for word in part.words
                ),
            )
            for part in parts
        ]
        return with_rises(moved, text, self._segment.language) or [Utterance("", ())]


async def has_enough_words(
    sentence: IncrementalSentence, text: IncrementalText, known: str, timing: PieceTiming
) -> bool:
    """True if a piece of the unfinished text ``known`` should be spoken now; if not, wait for more text.

    Every piece costs time and a joint, so it pays to wait for more words while the listener has audio left.
    """
    ready, spare_s = sentence.count_ready_words(known), timing.spare_s
    begun = sentence.spoken_length > 0
    wanted = _FIRST_WORDS if not begun else _MORE_WORDS if spare_s > 0 else 1
    if ready >= wanted:
        return True
    await text.wait_for_more(len(known), spare_s if begun and ready > 0 else None)
    return False
