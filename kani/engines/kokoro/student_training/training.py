"""The training loop: prosody and sound of the same batches, from a published student's weights."""

from __future__ import annotations

import csv
import itertools
import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from kani.engines.kokoro.student_training.batches import Batch, batches
from kani.engines.kokoro.student_training.losses import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    spectral_distance,
)
from kani.engines.kokoro.student_training.network import ENERGY_SCALE, F0_SCALE, Student
from kani.engines.kokoro.student_training.waveform import pulses, synthesize

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.csv"

_ADVERSARIAL_FROM = 2 / 3
"""Discriminators take part in the last third of the steps: a step costs them two to four times the rest."""

_CUT_FRAMES = 64
_CUT_EDGE = 8
"""Frames at either end of a cut that are not compared: the decoder sees no context there."""

_SPECTRAL_WEIGHT = 5.0
_WARM_UP = 200
_MAX_NORM = 5.0
_SAVE_EVERY_S = 300.0
_VALIDATE_EVERY = 250
_VALIDATED_BATCHES = 8


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
        self._optimiser = torch.optim.AdamW(self.student.parameters(), plan.rate, (0.8, 0.99))
        self._discriminator_optimiser = torch.optim.AdamW(
            self._discriminators.parameters(), plan.rate, (0.8, 0.99)
        )
        self.step = 0
        self._stopping = False
        if (folder / CHECKPOINT).is_file():
            self._restore(torch.load(folder / CHECKPOINT, device, weights_only=True))

    def run(self, shards: Sequence[Path], held_out: Sequence[Path]) -> None:
        """Train to the plan's end. Raises Interrupted."""
        given = batches(shards, self._plan.seconds, self._plan.seed + self.step)
        saved_s = time.monotonic()
        with _signals(self), tqdm(total=self._plan.steps, initial=self.step, unit="step") as progress:
            while self.step < self._plan.steps:
                losses = self._train(next(given).to(self._device))
                self.step += 1
                progress.update()
                progress.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
                if self.step % _VALIDATE_EVERY == 0 or self.step == self._plan.steps:
                    self._note(losses, self.validate(held_out))
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

    def _train(self, batch: Batch) -> dict[str, float]:
        self._set_rate()
        durations, pitch, energy = self._prosody(batch)
        wanted = torch.log1p(batch.frames.float())
        halves = _halves(batch.sounding)
        losses = {
            "durations": functional.l1_loss(durations[batch.present], wanted[batch.present]),
            "pitch": functional.l1_loss(pitch[halves], batch.pitch[halves]) / F0_SCALE,
            "energy": functional.l1_loss(energy[halves], batch.energy[halves]) / ENERGY_SCALE,
        }
        student, teacher = self._cuts(batch)
        losses["sound"] = spectral_distance(student, teacher)
        total = sum(losses.values(), torch.zeros((), device=self._device))
        total = total + (_SPECTRAL_WEIGHT - 1) * losses["sound"]
        if self.step >= self._plan.steps * _ADVERSARIAL_FROM:
            losses["discriminators"] = self._train_discriminators(teacher, student.detach())
            losses["adversarial"] = adversarial_loss(
                self._discriminators(teacher), self._discriminators(student)
            )
            total = total + losses["adversarial"]
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.student.parameters(), _MAX_NORM)
        self._optimiser.step()
        return {name: float(loss.detach()) for name, loss in losses.items()}

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

    def _train_discriminators(self, teacher: Tensor, student: Tensor) -> Tensor:
        loss = discriminator_loss(self._discriminators(teacher), self._discriminators(student))
        self._discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._discriminator_optimiser.step()
        return loss

    def _set_rate(self) -> None:
        """Warm up, then fall to a tenth along a cosine."""
        done = self.step / self._plan.steps
        rate = self._plan.rate * min(1, (self.step + 1) / _WARM_UP) * (0.55 + 0.45 * math.cos(math.pi * done))
        for optimiser in (self._optimiser, self._discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = rate

    def _note(self, losses: Mapping[str, float], validated: Mapping[str, float]) -> None:
        """Add a line to the curve."""
        file = self._folder / CURVE
        row = {"step": self.step, **{f"held_out_{name}": f"{value:.4f}" for name, value in validated.items()}}
        row |= {"sound": f"{losses['sound']:.4f}"}
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
