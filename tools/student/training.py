"""The training loop: prosody and sound of the same batches, from a published student's weights."""

from __future__ import annotations

import csv
import itertools
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from tools.student.batches import Batch, batches
from tools.student.losses import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    spectral_distance,
)
from tools.student.network import ENERGY_SCALE, F0_SCALE, Student
from tools.student.waveform import pulses, synthesize

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.csv"

_ADVERSARIAL_FROM = 2 / 3
"""Discriminators take part in the last third of the steps: a step costs them two to four times the rest."""

_CUT_FRAMES = 64
_CUT_EDGE = 8
"""Frames at either end of a cut that are not compared: the decoder sees no context there."""

_WEIGHTS = {"sound": 5.0}
"""Weights of the losses that do not count once."""

_SQUARED = 2.0

_WARM_UP = 200
_MAX_NORM = 5.0
_SAVE_EVERY_S = 300.0
_VALIDATE_EVERY = 250
_VALIDATED_BATCHES = 8

_KEPT = 8
"""Students that are kept on the way, besides the first."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """steps: in all; seconds: of speech in a step; rate: the highest learning rate."""

    steps: int
    seconds: float
    rate: float = 4e-4
    seed: int = 1


class Interrupted(Exception):
    """SIGTERM or Ctrl+C; the checkpoint was saved."""


class Training:
    """A run that goes on where its checkpoint in ``folder`` ends."""

    def __init__(
        self, weights: Mapping[str, Tensor], plan: TrainingPlan, folder: Path, device: torch.device
    ) -> None:
        self._plan, self._folder, self._device = plan, folder, device
        torch.manual_seed(plan.seed)
        self.student = Student().to(device)
        self.student.load_state_dict(dict(weights))
        self._discriminators = Discriminators().to(device)
        self._optimiser, self._discriminator_optimiser = (
            torch.optim.AdamW(network.parameters(), plan.rate, (0.8, 0.99), fused=True)
            for network in (self.student, self._discriminators)
        )
        self._bfloat16 = _computes_bfloat16(device)
        self.step = 0
        self._stopping = False
        if (folder / CHECKPOINT).is_file():
            self._restore(torch.load(folder / CHECKPOINT, device, weights_only=True))

    def run(
        self,
        shards: Sequence[Path],
        held_out: Sequence[Path],
        keep: Callable[[], None],
        planned: Sequence[Path] = (),
    ) -> None:
        """Train to the plan's end. Raises Interrupted.

        keep: called at the beginning and ``_KEPT`` times on the way, to export the student. planned: shards
        for the prosody, which learns from ``shards`` if there are none; the sound always does.
        """
        kept = {round(self._plan.steps * part / _KEPT) for part in range(_KEPT + 1)}
        if self.step == 0:
            self._note(self.validate(held_out))
            keep()
        given = batches(shards, self._plan.seconds, self._plan.seed + self.step)
        plans = batches(planned, self._plan.seconds, self._plan.seed + self.step) if planned else None
        saved_s = time.monotonic()
        with _signals(self), tqdm(total=self._plan.steps, initial=self.step, unit="step") as progress:
            while self.step < self._plan.steps:
                spoken = next(given).to(self._device)
                losses = self._train(spoken, spoken if plans is None else next(plans).to(self._device))
                self.step += 1
                progress.update()
                progress.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
                if self.step % _VALIDATE_EVERY == 0 or self.step == self._plan.steps:
                    self._note(self.validate(held_out), losses)
                if self.step in kept:
                    keep()
                if self._stopping or time.monotonic() - saved_s > _SAVE_EVERY_S:
                    self._save()
                    saved_s = time.monotonic()
                if self._stopping:
                    raise Interrupted
        self._save()

    @torch.no_grad()
    def validate(self, shards: Sequence[Path]) -> dict[str, float]:
        """Distances to the teacher on held-out sentences, spoken whole.

        duration: frames a symbol; pitch: cents where voiced; energy; sound: ``losses.spectral_distance``.
        """
        self.student.eval()
        rows = []
        seen = batches(shards, self._plan.seconds, seed=0)
        for batch in itertools.islice(seen, _VALIDATED_BATCHES):
            batch = batch.to(self._device)
            durations, pitch, energy = self._prosody(batch)
            voiced = (batch.pitch > 50) & (pitch > 50)
            cents = 1200 * (pitch[voiced] / batch.pitch[voiced]).log2().abs()
            frames = durations.expm1()[batch.present] - batch.frames[batch.present]
            features = self.student.m.features(batch.symbols, batch.present, batch.owners)
            sound = synthesize(self.student.m(features, batch.pitch, batch.energy), pulses(batch.pitch))
            rows.append(
                {
                    "duration": float(frames.abs().mean()),
                    "pitch": float(cents.mean()),
                    "energy": float((energy - batch.energy)[_halves(batch.sounding)].abs().mean()),
                    "sound": float(spectral_distance(sound, batch.samples)),
                }
            )
        self.student.train()
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _prosody(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor] = self.student.pn(
            batch.symbols, batch.present, batch.owners, batch.sounding
        )
        return found

    def _train(self, spoken: Batch, planned: Batch) -> dict[str, float]:
        self._set_rate()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            losses, discriminators = self._losses(spoken, planned)
        if discriminators is not None:
            # The discriminators ran once for both losses: each sets the gradients of its own network.
            _set_gradients(self._discriminators, discriminators, retain_graph=True)
        weighted = [_WEIGHTS.get(name, 1.0) * loss for name, loss in losses.items()]
        _set_gradients(self.student, torch.stack(weighted).sum())
        clip_grad_norm_(self.student.parameters(), _MAX_NORM)
        self._optimiser.step()
        if discriminators is not None:
            self._discriminator_optimiser.step()
            losses["discriminators"] = discriminators
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _losses(self, spoken: Batch, planned: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        """Losses of the student, and in the last third of the steps the discriminators' own.

        The sound's are of ``spoken``, the prosody's of ``planned``.
        """
        durations, pitch, energy = self._prosody(planned)
        halves = _halves(planned.sounding)
        student, teacher = self._cuts(spoken)
        losses = {
            "durations": _duration_loss(durations[planned.present], planned.frames[planned.present]),
            "pitch": functional.l1_loss(pitch[halves], planned.pitch[halves]) / F0_SCALE,
            "energy": functional.l1_loss(energy[halves], planned.energy[halves]) / ENERGY_SCALE,
            "sound": spectral_distance(student, teacher),
        }
        if self.step < self._plan.steps * _ADVERSARIAL_FROM:
            return losses, None
        real, made = self._discriminators(teacher), self._discriminators(student)
        losses["adversarial"] = adversarial_loss(real, made)
        return losses, discriminator_loss(real, made)

    def _cuts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Student's and teacher's sound of a random cut of each utterance [B, samples]."""
        lengths = batch.sounding.sum(dim=1)
        frames = min(_CUT_FRAMES, int(lengths.min()))
        starts = (torch.rand(len(lengths), device=self._device) * (lengths - frames + 1)).long()

        def cut(values: Tensor, unit: int) -> Tensor:
            """values [B, …, n] with ``unit`` of its last axis in a frame."""
            at = starts[:, None] * unit + torch.arange(frames * unit, device=self._device)
            if values.ndim == 3:
                at = at[:, None].expand(-1, values.shape[1], -1)
            return values.gather(-1, at)

        features = self.student.m.features(batch.symbols, batch.present, batch.owners)
        spectra = self.student.m(cut(features, 2), cut(batch.pitch, 2), cut(batch.energy, 2))
        sound = synthesize(spectra, cut(pulses(batch.pitch), FRAME_SAMPLES))
        edge = min(_CUT_EDGE, frames // 4) * FRAME_SAMPLES
        return sound[:, edge:-edge], cut(batch.samples, FRAME_SAMPLES)[:, edge:-edge]

    def _set_rate(self) -> None:
        """Warm up, then fall to a tenth along a cosine."""
        done = self.step / self._plan.steps
        rate = self._plan.rate * min(1, (self.step + 1) / _WARM_UP) * (0.55 + 0.45 * math.cos(math.pi * done))
        for optimiser in (self._optimiser, self._discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = rate

    def _note(
        self, validated: Mapping[str, float], losses: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Add a line to the curve; losses: of the last step."""
        file = self._folder / CURVE
        row = {"step": self.step, **{f"held_out_{name}": f"{value:.4f}" for name, value in validated.items()}}
        row["sound"] = f"{losses['sound']:.4f}" if losses else ""
        new = not file.is_file()
        with file.open("a", newline="") as out:
            writer = csv.DictWriter(out, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def stop(self) -> None:
        """Save and end after the step that runs."""
        self._stopping = True

    def _save(self) -> None:
        unfinished = self._folder / f"{CHECKPOINT}.part"
        state = {
            "step": self.step,
            "student": self.student.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "discriminators": self._discriminators.state_dict(),
            "discriminator_optimiser": self._discriminator_optimiser.state_dict(),
        }
        torch.save(state, unfinished)
        unfinished.replace(self._folder / CHECKPOINT)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.student.load_state_dict(state["student"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._discriminators.load_state_dict(state["discriminators"])
        self._discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])


def _computes_bfloat16(device: torch.device) -> bool:
    """True where bfloat16 is faster than float32, not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def _set_gradients(network: nn.Module, loss: Tensor, *, retain_graph: bool = False) -> None:
    """Set the gradients of ``loss`` by the weights of ``network``, and of no others."""
    network.zero_grad(set_to_none=True)
    loss.backward(retain_graph=retain_graph, inputs=list(network.parameters()))  # type: ignore[no-untyped-call]


def _duration_loss(student: Tensor, frames: Tensor) -> Tensor:
    """Absolute and squared distance of log(1 + frames).

    The absolute distance is least at the median: without the squared one the few long symbols at the end of a
    phrase are too short.
    """
    wanted = torch.log1p(frames.float())
    return functional.l1_loss(student, wanted) + _SQUARED * functional.mse_loss(student, wanted)


def _halves(sounding: Tensor) -> Tensor:
    return sounding.repeat_interleave(2, dim=1)


class _signals:
    """SIGTERM and Ctrl+C end a training after its step; the handlers of before return at the end."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def __enter__(self) -> None:
        self._before = {one: signal.signal(one, self._stop) for one in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._training.stop()
