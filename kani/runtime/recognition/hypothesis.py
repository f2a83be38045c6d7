"""The words of the kept audio: those that are decided, and the guess of the last pass at the others."""

from collections.abc import Sequence

from kani.runtime.recognition.local_agreement import HypothesisWord, agreed_count
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.recognition.tuning import TUNING
from kani_text.writing import ends_turn


class Hypothesis:
    """Decided words are the prefix of the next pass; undecided ones are compared with its result."""

    def __init__(self) -> None:
        self._decided: list[HypothesisWord] = []
        self._ends_s: list[float] = []
        self.undecided: tuple[TimedWord, ...] = ()
        """The guess of the last pass that was believed, in seconds of the stream."""
        self.language: str | None = None
        """Language of the last decided word; None before the first."""
        self.end_s = 0.0
        """End of the last decided word, in seconds of the stream."""
        self.sentence_ended = True
        """True if a turn may end with the last decided word, by its mark; true before the first word."""
        self._cut_after = ""  # the word where the kept audio begins, if speech goes on there

    @property
    def prefix(self) -> tuple[int, ...]:
        """Tokens of the decided words."""
        return tuple(token for word in self._decided for token in word.tokens)

    def agreed_count(self, words: Sequence[TimedWord]) -> int:
        """Number of words at the start of ``words`` that the pass before recognised as well."""
        return agreed_count([timed.word for timed in self.undecided], [timed.word for timed in words])

    def without_tail(self, words: Sequence[TimedWord], speech_end_s: float) -> Sequence[TimedWord]:
        """Return a pass's words without a first one that is the end of the same word before it."""
        before = self._decided[-1].normalized if self._decided else self._cut_after
        at = next((at for at, timed in enumerate(words) if timed.word.normalized), None)
        if at is None or words[at].word.normalized != before:
            return words
        short = min(words[at].end_s, speech_end_s) - words[at].start_s < TUNING.tail_s
        return words[at + 1 :] if short else words

    def decide(self, word: HypothesisWord, end_s: float, language: str) -> None:
        """Append a decided word, which ends at ``end_s``."""
        self._decided.append(word)
        self._ends_s.append(end_s)
        self.end_s = end_s
        self.language = language
        self.sentence_ended = ends_turn(word.text)

    def take_undecided(self) -> tuple[TimedWord, ...]:
        words, self.undecided = self.undecided, ()
        return words

    def drop_decided(self, kept: int) -> float | None:
        """Forget all decided words but the last ``kept``; the end of the last forgotten one, if any."""
        dropped = len(self._decided) - kept
        if dropped <= 0:
            return None
        end_s = self._ends_s[dropped - 1]
        del self._decided[:dropped], self._ends_s[:dropped]
        return end_s

    def forget_decided(self) -> None:
        self._cut_after = self._decided[-1].normalized if self._decided else ""
        self._decided.clear()
        self._ends_s.clear()

    def clear(self) -> None:
        self.forget_decided()
        self.undecided, self._cut_after = (), ""
