"""Speaks utterances by a student: Kokoro's session code without what only Kokoro's network needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kani.core.types import Samples, Segment
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.pieces import PreparedUtterance
from kani.engines.kokoro.pitch_control import apply_pitch
from kani.engines.kokoro.student.model import StudentFacts, StudentModel
from kani.engines.kokoro.synthesizer import PreparingSynthesizer

_GOES_ON = " ænd ðɛn ðə ˈʌðɚ wˈʌnz kˈeɪm bˈæk hˈoʊm."
"""Words that stand for those that are not known yet ("and then the other ones came back home."); they are not
spoken. Without them the words before would be as fast as those of a short sentence: 14 sentences of 11 words
and more, fed word by word, become 0.97 times as long as whole (0.91 to 1.00), with them 1.01 times (0.96 to
1.07)."""


class StudentSynthesizer(PreparingSynthesizer):
    """A student's voice.

    No style, so the expected length of a text (``min_symbols``) does not matter; no statistics of norms, so
    nothing is kept from piece to piece; one window; and its speed is not measured, as one step predicts all.
    """

    def __init__(self, model: StudentModel) -> None:
        super().__init__()
        self._model = model

    @property
    def facts(self) -> StudentFacts:
        """The voice, and the language that it speaks."""
        return self._model.facts

    def prepare(
        self,
        symbols: str,
        segment: Segment,
        stop: Stop,
        *,
        complete: bool = True,
        min_symbols: int = 0,
        like: PreparedUtterance | None = None,
    ) -> PreparedUtterance:
        """See ``Preparing.prepare``."""
        prosody = self._model.predict(symbols if complete else symbols + _GOES_ON, segment.speed, stop)
        return PreparedByStudent(self._model, apply_pitch(prosody, segment.prosody, self.facts.log_f0))


@dataclass(frozen=True, slots=True, eq=False)
class PreparedByStudent:
    """An utterance's prosody, and the student that decodes it. See ``PreparedUtterance``."""

    model: StudentModel
    prosody: PredictedProsody

    @property
    def level(self) -> float:
        """See ``PreparedUtterance.level``."""
        return self.model.facts.level

    def windows(self, begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
        """Yield one window: the whole is there sooner than Kokoro's first."""
        if begin < end:
            yield begin, end

    def decode(self, first: int, end: int, stop: Stop) -> Samples:
        """See ``PreparedUtterance.decode``."""
        return self.model.decode(self.prosody, first, end, stop)
