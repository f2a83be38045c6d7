"""Ends of turns: sentences cut in a pause, and how long after the last sound a turn ends.

Kokoro says 200 sentences in Spanish and English; silence of 0.3 to 1.2 s is put into each. With ``--places``
it says 200 turns in five languages, most with pauses of 0.3 to 1.5 s where they are unfinished. Whisper hears
them at the pace of speech, by a clock of its own; every way to end turns is then applied to the same events,
so that they differ in nothing else. Half of the texts tuned the judgement, the others judge it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks.recognition.clips import SAMPLE_RATE
from benchmarks.recognition.streams import seconds, started_recognizer
from benchmarks.recognition.turn_cases import AFTER_S, Case, cases, cases_of_places
from benchmarks.report import report_section, table
from kani.core.conversation.turns import TurnMachine, TurnRule, TurnStopped
from kani.core.recognizer import STEP_S, RecognitionEvent, RecognizedWord, Step
from kani.core.turns.pause_judge import TUNING, PauseJudge
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.protocols.openai.realtime.session_config import TurnDetection
from kani.protocols.wyoming.recognition import RULES
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from kani.runtime.turn_model.model import SmartTurn

TWO_S, LIKELY = 2, 0.6
"""Index and least probability of the pause that ends a turn for Kyutai's clients."""

NO_STOP = float("inf")

ANSWERED_S = (0.15, 0.45, 0.75)
"""Times from the end of a turn to the answer's first sound: with a model that answers at once, and later."""

PASS_S = 0.25
"""Seconds that a pass of Whisper takes on one core of the machine of docs/listening.md, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Events of a recogniser for a case, each with the seconds since its audio began."""

    case: Case
    events: list[tuple[float, RecognitionEvent]] = field(default_factory=list)


class RememberedModel:
    """A turn model that computes each answer once, and counts the time."""

    def __init__(self) -> None:
        self._model = SmartTurn()
        self._known: dict[bytes, float] = {}
        self.took_s: list[float] = []

    async def prepare(self) -> None:
        """Load the model."""
        await self._model.prepare()

    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        """Return the probability of a complete turn."""
        key = samples.tobytes()
        if key not in self._known:
            begun = time.perf_counter()
            self._known[key] = await self._model.completeness(samples, sample_rate)
            self.took_s.append(time.perf_counter() - begun)
        return self._known[key]


class Hearing:
    """Whisper's hearing of a case at the pace of speech, by a clock of its own.

    Each pass takes ``pass_s`` seconds of that clock, so that the same comes out on every machine. The passes
    are those of the pauses: others decide words earlier, and change little of what is known at a pause.
    """

    def __init__(self, recognizer: WhisperRecognizer, case: Case, pass_s: float) -> None:
        self.trace = Trace(case)
        self._now_s = 0.0
        self._whisper = recognizer._whisper
        self._pass_s = pass_s
        self._stream = RecognitionStream(
            recognizer._detector.stream(), case.language, clock=lambda: self._now_s
        )
        self._running: tuple[float, PassResult] | None = None  # when it ends

    def hear(self) -> Trace:
        """Return what the recogniser yields until the audio ends."""
        samples = self.trace.case.samples
        for number, at in enumerate(range(0, len(samples), STEP_SAMPLES), 1):
            self._pass_time(number * STEP_S)
            while self._stream.full:
                self._end_pass()
            self._stream.feed(samples[at : at + STEP_SAMPLES])
            self._take_events()
        return self.trace

    def _pass_time(self, until_s: float) -> None:
        self._begin_pass()
        while self._running is not None and self._running[0] <= until_s:
            self._end_pass()
        self._now_s = max(self._now_s, until_s)

    def _begin_pass(self) -> None:
        if self._running is None and self._stream.urgent:
            self._running = self._now_s + self._pass_s, transcribe(self._whisper, self._stream.begin_pass())

    def _end_pass(self) -> None:
        """Go on to the end of the pass that runs or is due, and begin the next one."""
        self._begin_pass()
        assert self._running is not None
        ends_s, result = self._running
        self._now_s, self._running = max(self._now_s, ends_s), None
        self._stream.finish_pass(result)
        self._take_events()
        self._begin_pass()

    def _take_events(self) -> None:
        while self._stream.events:
            self.trace.events.append((self._now_s, self._stream.events.popleft()))


async def heard_all(said: Sequence[Case], pass_s: float) -> list[Trace]:
    """Recognise the cases, each at the pace of speech."""
    async with started_recognizer() as recognizer:
        return [await asyncio.to_thread(Hearing(recognizer, case, pass_s).hear) for case in said]


async def judged(trace: Trace, model: RememberedModel) -> Trace:
    """Return the trace of a session that judges turns."""
    # Without a limit of the wait, or a busy machine would decide.
    judge = PauseJudge(model, SAMPLE_RATE, tuning=replace(TUNING, longest_wait_s=60.0))
    judge.add_audio(trace.case.samples)
    found = Trace(trace.case)
    for at_s, event in trace.events:
        if isinstance(event, RecognizedWord):
            judge.add_word(event)
        found.events.append((at_s, await judge.judge(event) if isinstance(event, Step) else event))
    await judge.aclose()
    return found


def turn_stops(trace: Trace, rule: TurnRule) -> list[float]:
    """Return when turns end by a rule."""
    machine, stops = TurnMachine(SAMPLE_RATE), list[float]()
    for at_s, event in trace.events:
        if isinstance(event, RecognizedWord):
            machine.add_word(event)
        elif isinstance(event, Step):
            ends = [turn for turn in machine.feed(event, rule) if isinstance(turn, TurnStopped)]
            stops += [at_s] * len(ends)
    return stops


def answered_over(trace: Trace, detection: TurnDetection, answered_s: float) -> bool:
    """Return True if an answer sounds before the voice that goes on is heard.

    answered_s: time from the end of a turn to the answer's first sound. Until then it is dropped unheard, and
    the words join the turn.
    """
    machine, sounds_s = TurnMachine(SAMPLE_RATE), NO_STOP
    for at_s, event in trace.events:
        if isinstance(event, RecognizedWord):
            machine.add_word(event)
        elif isinstance(event, Step):
            for turn in machine.feed(event, detection.rule):
                if isinstance(turn, TurnStopped):
                    sounds_s = at_s + answered_s
                elif at_s > sounds_s:
                    return True
                else:
                    sounds_s = NO_STOP
    return False


def kyutai_stops(trace: Trace) -> list[float]:
    """Return when a pause of 2 s becomes likely, as Kyutai's clients end turns."""
    return _stops(trace, lambda step: step.pause_probabilities[TWO_S] >= LIKELY)


def _stops(trace: Trace, ended: Callable[[Step], bool]) -> list[float]:
    stops, before = list[float](), True
    for at_s, event in trace.events:
        if isinstance(event, Step):
            now = ended(event)
            if now and not before:
                stops.append(at_s)
            before = now
    return stops


@dataclass(frozen=True, slots=True)
class Outcome:
    """Ends of turns of one way: the cases that were cut, and all delays after the last sound."""

    cut: list[Case]
    delays_s: list[float]


def outcome(traces: Iterable[Trace], stops: Iterable[list[float]]) -> Outcome:
    """Compare the ends of turns with the truth."""
    found = Outcome([], [])
    for trace, times in zip(traces, stops, strict=True):
        if any(at_s < trace.case.end_s for at_s in times):
            found.cut.append(trace.case)
        late = [at_s - trace.case.end_s for at_s in times if at_s >= trace.case.end_s]
        found.delays_s.append(min(late, default=NO_STOP))
    return found


def _realtime(detection: TurnDetection) -> Callable[[Trace], list[float]]:
    return partial(turn_stops, rule=detection.rule)


WAYS: dict[str, Callable[[Trace], list[float]]] = {
    "Realtime, `server_vad`": _realtime(TurnDetection()),
    "Realtime, `semantic_vad`": _realtime(TurnDetection("semantic_vad")),
    "Realtime, `semantic_vad`, eagerness high": _realtime(TurnDetection("semantic_vad", eagerness="high")),
    "Realtime, `semantic_vad`, eagerness low": _realtime(TurnDetection("semantic_vad", eagerness="low")),
    "Kyutai, a pause of 2 s": kyutai_stops,
    "Wyoming, by default": partial(turn_stops, rule=RULES["default"]),
}


def outcomes(traces: Sequence[Trace]) -> dict[str, Outcome]:
    """Return what each way makes of the traces."""
    return {name: outcome(traces, map(stops, traces)) for name, stops in WAYS.items()}


def row(name: str, judged_by: str, found: Outcome) -> list[str]:
    """Return a row of the table."""
    count = len(found.delays_s)
    cut = f"{len(found.cut)} of {count} ({len(found.cut) / count:.1%})"
    late = sum(delay == NO_STOP for delay in found.delays_s)
    times = [delay if delay != NO_STOP else AFTER_S for delay in found.delays_s]
    return [name, judged_by, cut, f"{seconds(times)} / {seconds(times, 95)}", str(late)]


async def measure(said: Sequence[Case], pass_s: float, *, verbose: bool) -> None:
    """Print the table of the cases."""
    model = RememberedModel()
    await model.prepare()
    plain = await heard_all(said, pass_s)
    both = {"silence": plain, "sound and words": [await judged(trace, model) for trace in plain]}
    found = {judged_by: outcomes(traces) for judged_by, traces in both.items()}
    rows = [row(name, judged_by, found[judged_by][name]) for name in WAYS for judged_by in both]
    head = (
        "ends of turns",
        "judged by",
        "sentences cut",
        "last sound to end, median / p95",
        f"not within {AFTER_S:g} s",
    )
    print(table(head, rows) + "\n", flush=True)
    semantic = TurnDetection("semantic_vad")
    cells = [
        str(sum(answered_over(trace, semantic, after_s) for trace in both["sound and words"]))
        for after_s in ANSWERED_S
    ]
    head = ("end of a turn to the answer's first sound", *(f"{after_s:g} s" for after_s in ANSWERED_S))
    print(table(head, [["`semantic_vad`: sentences answered over", *cells]]) + "\n", flush=True)
    print(f"The turn model: {np.median(model.took_s) * 1000:.0f} ms a call, {len(model.took_s)} calls.\n")
    if verbose:
        for case in found["sound and words"]["Realtime, `semantic_vad`"].cut:
            found_pauses = [f"{pause.before} ({pause.end_s - pause.start_s:.2f} s)" for pause in case.pauses]
            print("    cut after one of: " + " | ".join(found_pauses))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.turns", description=__doc__)
    parser.add_argument("--tuning", action="store_true", help="use the texts that tune")
    parser.add_argument("--places", action="store_true", help="pause where turns are unfinished")
    parser.add_argument("--cases", type=int, default=100, help="of the half")
    parser.add_argument("--pass-s", type=float, default=PASS_S, help="seconds that a pass takes")
    parser.add_argument("--verbose", action="store_true", help="print the sentences that were cut")
    chosen = parser.parse_args()

    async def run() -> None:
        make = cases_of_places if chosen.places else cases
        said = await make(chosen.cases, judging=not chosen.tuning)
        await measure(said, chosen.pass_s, verbose=chosen.verbose)

    with report_section("Ends of turns", "ctranslate2", "faster-whisper", "onnxruntime"):
        asyncio.run(run())


if __name__ == "__main__":
    main()
