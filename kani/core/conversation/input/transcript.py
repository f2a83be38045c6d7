"""The words of one item of input audio."""

import math
from dataclasses import dataclass, field
from itertools import count

from kani.core.conversation.items import Part
from kani.core.recognizer import RecognizedWord
from kani.core.turns.second_hearing import Hearing
from kani_text.writing import space_between

_numbers = count()


@dataclass(eq=False)
class Transcript:
    """Words of one item so far; times in seconds of the session's audio."""

    item_id: str
    content_index: int = 0  # of its part
    number: int = field(default_factory=lambda: next(_numbers))  # rises from each transcript to the next
    text: str = ""
    language: str = ""
    start_s: float = 0.0
    end_s: float = math.inf
    words_start_s: float = math.inf  # start of its first word
    words_end_s: float = 0.0  # end of its last word
    duration_s: float = 0.0
    voiced_s: float = 0.0  # seconds of voice, while its turn goes on
    started: bool = False  # True once the client knows that its turn has started
    committed: bool = False  # True once the client knows the item
    to_be_answered: bool = False
    log_probabilities: list[tuple[str, float | None]] = field(default_factory=list)
    """Its words, each with the log probability that the recogniser tells of it."""
    tells_log_probabilities: bool = False  # whether the client has asked for them
    again: Hearing | None = None  # the work on its turn as a whole, once it has ended
    stopped_at: float = 0.0
    """Time at which its turn was found to have ended, on the clock of ``time.perf_counter``."""

    @property
    def stopped(self) -> bool:
        """True if it is of a turn with detected speech that has ended."""
        return self.end_s < math.inf

    def add(self, word: RecognizedWord, offset_s: float) -> str:
        """Append a word; returns the text that was added. offset_s: of its times, in the session's audio."""
        self.language = word.language
        self.words_start_s = min(self.words_start_s, offset_s + word.start_s)
        self.words_end_s = offset_s + word.end_s
        delta = space_between(self.text, word.text) + word.text
        self.text += delta
        self.log_probabilities.append((delta, word.log_probability))
        return delta

    @property
    def hearing(self) -> Hearing | None:
        """The work on its turn as a whole; None without words, or where it lacks one across the end."""
        return self.again if self.text and self.words_end_s <= self.end_s else None

    async def hear_again(self, *, answered: bool = False) -> None:
        """Take the text of the turn as a whole, if it is there in time; no delta says so.

        answered: see ``Hearing.wait``.
        """
        heard = None if self.hearing is None else await self.hearing.in_time(answered=answered)
        if heard is not None:
            self.text, self.language = heard.text, heard.language
            self.log_probabilities = [(word.text, word.log_probability) for word in heard.words]


def spoken_part(transcript: str | None) -> Part:
    """Return the part of a user's message that holds what was said; None: not transcribed."""
    return Part("input_audio", transcript, is_speech=True)
