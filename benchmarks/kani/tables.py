"""Prints the results of ``benchmarks.kani`` as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmarks.kani.exactness import Closeness
from benchmarks.kani.parts import CONTEXT
from benchmarks.kani.reference import CHUNK, LOOKBACK, Generated
from benchmarks.kani.streams import PROMPT_TOKENS, Together
from benchmarks.report import median, ms, percentile, table

TOKENS_A_SECOND = 50.0
FRAMES_A_SECOND = 12.5
_TOKENS_A_FRAME = round(TOKENS_A_SECOND / FRAMES_A_SECOND)
_START_TOKENS = 2

AT_ONCE = {"cpu": 8, "cuda": 64}
"""Number of streams that are started together, by device."""

NO_NEMO = "not measured (no NeMo)"


@dataclass(frozen=True, slots=True)
class Reference:
    """The makers' code: transformers by its precision; NeMo's seconds by frames of a call, or None."""

    generated: Mapping[torch.dtype, Generated]
    nemo: Mapping[int, float] | None

    def real_time_factor(self, precision: torch.dtype) -> float | None:
        """Real-time factor of speech without its prompt; None without NeMo."""
        if self.nemo is None:
            return None
        chunk_s = CHUNK / FRAMES_A_SECOND
        return self.generated[precision].token_s * TOKENS_A_SECOND + self.nemo[CHUNK + LOOKBACK] / chunk_s

    def first_audio_s(self, precision: torch.dtype) -> float | None:
        """Prompt, both start tokens, the first chunk's tokens, and its decode; None without NeMo."""
        if self.nemo is None:
            return None
        found = self.generated[precision]
        tokens = _START_TOKENS + _TOKENS_A_FRAME * CHUNK - 1
        return found.prefill_s + tokens * found.token_s + self.nemo[CHUNK]


@dataclass(frozen=True, slots=True)
class Ours:
    """Times of our model, in seconds."""

    precision: str
    prefill_s: float  # of one prompt
    steps_s: Mapping[int, float]  # a decode step, by number of sequences
    frames_s: Mapping[tuple[int, int], float]  # a frame of the codec, by (sequences, frames) of a call
    real_time_factors: Sequence[float]  # of one sequence
    firsts_s: Sequence[float]  # first audio of one sequence
    together: Mapping[int, Together]  # by number of sequences
    cancels: Sequence[tuple[int, int]]
    """Steps from a cancel until the slot was free, and until the next audio"""

    @property
    def real_time_factor(self) -> float:
        """Real-time factor of one stream, the median."""
        return median(self.real_time_factors)

    @property
    def in_real_time(self) -> int:
        """The largest number of streams without a gap."""
        return max((count for count, found in self.together.items() if not found.stalled), default=0)


@dataclass(frozen=True, slots=True)
class Floor:
    """Bytes that a decode step reads, operations of a frame, and the machine's rates."""

    bytes_a_step: int
    bytes_a_second: float
    bandwidth: str
    operations_a_frame: int
    operations_a_second: float

    @property
    def step_s(self) -> float:
        """Seconds of one decode step, for any number of sequences."""
        return self.bytes_a_step / self.bytes_a_second

    @property
    def frame_s(self) -> float:
        """Seconds of one frame of the codec."""
        return self.operations_a_frame / self.operations_a_second

    @property
    def real_time_factor(self) -> float:
        """Real-time factor of one sequence, one part after the other."""
        return self.step_s * TOKENS_A_SECOND + self.frame_s * FRAMES_A_SECOND


@dataclass(frozen=True, slots=True)
class Exactness:
    """Differences from transformers' float32, and the codec's noise in decibels."""

    positions: int  # number of positions compared
    logits: Mapping[str, Closeness]
    noise_db: Mapping[str, float]


def show(device: torch.device, threads: int, theirs: Reference, ours: Ours, floor: Floor) -> None:
    """Print everything about speed."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"the CPU, {threads} threads"
    print(f"On {where}; ours in {ours.precision}; memory read at {floor.bandwidth}.\n")
    print(table(("measure", "measured"), _figures(theirs, ours, AT_ONCE[device.type])))
    print(f"\nThe makers' code ({CHUNK} frames a chunk, {LOOKBACK} of lookback) and ours:\n")
    print(_reference(theirs, ours))
    print("\nParts of ours, alone, against the least that memory and arithmetic allow:\n")
    print(_parts(ours, floor))
    longest_s = max(found.audio_s / count for count, found in ours.together.items())
    print(f"\nStreams asked for together, {longest_s:.0f} s each, language model and codec:\n")
    print(_streams(ours))
    frees, waits = zip(*ours.cancels, strict=True)
    print(
        f"\nOf {len(frees)} streams cancelled while all slots were taken, each slot was free after "
        f"{min(frees)}–{max(frees)} steps of the scheduler (a frame of every stream); the stream that had "
        f"waited for it was heard, its prompt read, after {min(waits)}–{max(waits)}.\n",
        flush=True,
    )


def show_exactness(exact: Exactness) -> None:
    """Print the differences of the faster precisions from float32."""
    print(f"Logits of the legal codes at {exact.positions} positions against transformers' in float32:\n")
    rows = []
    for name, found in exact.logits.items():
        noise_db = exact.noise_db.get(name)
        rows.append(
            [
                name,
                f"{found.cosine:.6f}",
                f"{found.least:.6f}",
                f"{found.equal:.1%}",
                "" if noise_db is None else f"{noise_db:.0f} dB",
            ]
        )
    head = (
        *("precision", "cosine, mean", "least", "likeliest code equal"),
        "codec, signal to noise against float32",
    )
    print(table(head, rows))


def _figures(theirs: Reference, ours: Ours, at_once: int) -> list[list[str]]:
    factor, rival = ours.real_time_factor, theirs.real_time_factor(torch.bfloat16)
    together = ours.together[at_once]
    return [
        ["real-time factor, one stream", f"{factor:.3f}"],
        [
            "how many times faster than the makers' code",
            NO_NEMO if rival is None else f"{rival / factor:.1f}",
        ],
        [
            f"first audio, prompt of {PROMPT_TOKENS} tokens, median of {len(ours.firsts_s)}",
            f"{ms(median(ours.firsts_s))} (p95 {ms(percentile(ours.firsts_s, 95))})",
        ],
        [f"{at_once} streams started together, first audio, p95", ms(percentile(together.first_s, 95))],
        [f"{at_once} streams, audio seconds a second", f"{together.throughput:.1f}"],
        ["most streams, none with a gap", str(ours.in_real_time)],
        ["steps between a cancel and its slot's reuse", str(max(free for free, _ in ours.cancels))],
    ]


def _reference(theirs: Reference, ours: Ours) -> str:
    rows = []
    for precision, found in theirs.generated.items():
        factor, first_s = theirs.real_time_factor(precision), theirs.first_audio_s(precision)
        rows.append(
            [
                f"transformers, {str(precision).removeprefix('torch.')}, and NeMo, float32",
                ms(found.prefill_s),
                ms(found.token_s),
                NO_NEMO if theirs.nemo is None else ms(theirs.nemo[CHUNK + LOOKBACK] / CHUNK),
                NO_NEMO if factor is None else f"{factor:.2f}",
                NO_NEMO if first_s is None else ms(first_s),
            ]
        )
    rows.append(
        [
            f"ours, {ours.precision}",
            ms(ours.prefill_s),
            ms(ours.steps_s[1]),
            ms(ours.frames_s[1, CHUNK]),
            f"{ours.real_time_factor:.2f} (measured together)",
            ms(median(ours.firsts_s)),
        ]
    )
    head = ("who, one stream", "prompt", "a token", "a frame of the codec", "real-time factor", "first audio")
    return table(head, rows)


def _parts(ours: Ours, floor: Floor) -> str:
    rows = [[f"prompt of {PROMPT_TOKENS} tokens", ms(ours.prefill_s), "", ""]]
    read = f"{floor.bytes_a_step / 1e6:.0f} MB of weights: {ms(floor.step_s)}"
    for count, step_s in ours.steps_s.items():
        name = f"decode step, {count} stream{'s' * (count > 1)}, some {CONTEXT} tokens read"
        rows.append([name, ms(step_s), read, f"{step_s / floor.step_s:.2f}"])
    computed = f"{floor.operations_a_frame / 1e9:.2f} GFLOP: {ms(floor.frame_s)}"
    for (streams, frames), frame_s in ours.frames_s.items():
        name = f"codec, a frame, {streams} × {frames} a call"
        rows.append([name, ms(frame_s), computed, f"{frame_s / floor.frame_s:.2f}"])
    factor = ours.real_time_factor
    rows.append(
        [
            "one stream, real-time factor",
            f"{factor:.3f} ({min(ours.real_time_factors):.3f}–{max(ours.real_time_factors):.3f})",
            f"{floor.real_time_factor:.3f}",
            f"{factor / floor.real_time_factor:.2f}",
        ]
    )
    peak = f"at {floor.operations_a_second / 1e9:.0f} GFLOP/s and {floor.bytes_a_second / 1e9:.0f} GB/s"
    return table(("what", "measured", f"floor, {peak}", "measured ÷ floor"), rows)


def _streams(ours: Ours) -> str:
    rows = [
        [
            str(count),
            f"{found.throughput:.2f}",
            ms(median(found.first_s)),
            ms(percentile(found.first_s, 95)),
            f"{count - found.stalled} of {count}",
        ]
        for count, found in ours.together.items()
    ]
    head = ("streams", "audio seconds a second", "first audio, median", "p95", "played without a gap")
    return table(head, rows)
