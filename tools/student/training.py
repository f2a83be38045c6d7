"""The training loop: prosody and sound of the same batches, from a published student's weights."""

from __future__ import annotations

import csv
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from tools.student.batches import Cuts, Utterances, cut_batches, filled, on_device, whole_batches
from tools.student.captured_step import CapturedStep
from tools.student.losses import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    spectral_distance,
)
from tools.student.network import ENERGY_SCALE, F0_SCALE, Student
from tools.student.targets import read_shard
from tools.student.waveform import pulses, synthesize

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.csv"

CPU_BATCH, GPU_BATCH = 5, 32
"""Utterances of a step, unless the user names another number."""

_ADVERSARIAL_FROM = 2 / 3
"""Discriminators take part in the last third of the steps: a step costs them two to four times the rest."""

_CUT_EDGE = 8
"""Frames at either end of a cut that are not compared: the decoder sees no context there."""

_WEIGHTS = {"sound": 5.0}
"""Weights of the losses that do not count once."""

_SQUARED = 2.0

_WARM_UP = 200
_MAX_NORM = 5.0
_SAVE_EVERY_S = 300.0
_VALIDATE_EVERY = 250
_SHOWN_EVERY = 10
"""Steps between the losses that are shown: each makes the host wait for a GPU."""

_KEPT = 8
"""Students that are kept on the way, besides the first."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """steps: in all; batch: utterances in a step; rate: the highest learning rate."""

    steps: int
    batch: int
    rate: float = 4e-4
    seed: int = 1


_Step = Callable[[Cuts, Utterances], dict[str, Tensor]]
"""Takes a step of the training, and returns its losses."""


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
        self._steps: list[_Step] = [self._learn_spectra, self._learn_from_discriminators]
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            self._capture()

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
        seed = self._plan.seed + self.step
        spoken = cut_batches(shards, self._plan.batch, seed, self._device)
        plans = whole_batches(planned or shards, self._plan.batch, seed, self._device)
        saved_s = time.monotonic()
        with _signals(self), tqdm(total=self._plan.steps, initial=self.step, unit="step") as progress:
            while self.step < self._plan.steps:
                losses = self._train(next(spoken), next(plans))
                self.step += 1
                progress.update()
                if self.step % _SHOWN_EVERY == 0:
                    shown = {name: f"{float(value):.3f}" for name, value in losses.items()}
                    progress.set_postfix(shown, refresh=False)
                if self.step % _VALIDATE_EVERY == 0 or self.step == self._plan.steps:
                    self._note(self.validate(held_out), f"{float(losses['sound']):.4f}")
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
        targets = [target for shard in shards for target in read_shard(shard)]
        targets.sort(key=lambda target: int(target.frames.sum()))
        for at in range(0, len(targets), self._plan.batch):
            group = targets[at : at + self._plan.batch]
            batch = on_device(Utterances.of(group), self._device)
            samples = filled([target.samples for target in group]).to(self._device)
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
                    "sound": float(spectral_distance(sound, samples)),
                }
            )
        self.student.train()
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}

    def _prosody(self, batch: Utterances) -> tuple[Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor] = self.student.pn(
            batch.symbols, batch.present, batch.owners, batch.sounding
        )
        return found

    def _train(self, spoken: Cuts, planned: Utterances) -> dict[str, Tensor]:
        """Take a step; return its losses, which the next step may overwrite."""
        self._set_rate()
        judged = self.step >= self._plan.steps * _ADVERSARIAL_FROM
        return self._steps[judged](spoken, planned)

    def _learn_spectra(self, spoken: Cuts, planned: Utterances) -> dict[str, Tensor]:
        """Learn durations, pitch and energy of ``planned``, and the spectra of ``spoken``."""
        with self._autocast():
            losses, *_ = self._losses(spoken, planned)
        return self._learn(losses)

    def _learn_from_discriminators(self, spoken: Cuts, planned: Utterances) -> dict[str, Tensor]:
        """Do as ``_learn_spectra``, and learn what the discriminators find, which learn, too."""
        with self._autocast():
            losses, student, teacher = self._losses(spoken, planned)
            real, made = self._discriminators(teacher), self._discriminators(student)
            losses["adversarial"] = adversarial_loss(real, made)
            discriminators = discriminator_loss(real, made)
        # The discriminators ran once for both losses: each sets the gradients of its own network.
        _set_gradients(self._discriminators, discriminators, retain_graph=True)
        losses = self._learn(losses)
        self._discriminator_optimiser.step()
        return losses | {"discriminators": discriminators.detach()}

    def _learn(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        weighted = [_WEIGHTS.get(name, 1.0) * loss for name, loss in losses.items()]
        _set_gradients(self.student, torch.stack(weighted).sum())
        clip_grad_norm_(self.student.parameters(), _MAX_NORM)
        self._optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16)

    def _losses(self, spoken: Cuts, planned: Utterances) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Losses without discriminators, and what of the student's and the teacher's sound is compared."""
        durations, pitch, energy = self._prosody(planned)
        halves = _halves(planned.sounding)
        features = self.student.m.features(spoken.symbols, spoken.present, spoken.owners)
        sound = synthesize(self.student.m(features, spoken.pitch, spoken.energy), pulses(spoken.pitch))
        edge = _CUT_EDGE * FRAME_SAMPLES
        student, teacher = sound[:, edge:-edge], spoken.samples[:, edge:-edge]
        losses = {
            "durations": _mean(_duration_distance(durations, planned.frames), planned.present),
            "pitch": _mean((pitch - planned.pitch).abs(), halves) / F0_SCALE,
            "energy": _mean((energy - planned.energy).abs(), halves) / ENERGY_SCALE,
            "sound": spectral_distance(student, teacher),
        }
        return losses, student, teacher

    def _set_rate(self) -> None:
        """Warm up, then fall to a tenth along a cosine."""
        done = self.step / self._plan.steps
        rate = self._plan.rate * min(1, (self.step + 1) / _WARM_UP) * (0.55 + 0.45 * math.cos(math.pi * done))
        for optimiser in (self._optimiser, self._discriminator_optimiser):
            for group in optimiser.param_groups:
                # A recorded step reads the tensor.
                group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def _note(self, validated: Mapping[str, float], sound: str = "") -> None:
        """Add a line to the curve; sound: the last step's loss."""
        file = self._folder / CURVE
        row = {"step": self.step, **{f"held_out_{name}": f"{value:.4f}" for name, value in validated.items()}}
        row["sound"] = sound
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

    def _capture(self) -> None:
        """Record both kinds of step for the GPU, with rates that can be changed."""
        for optimiser in (self._optimiser, self._discriminator_optimiser):
            for group in optimiser.param_groups:
                group.update(capturable=True, lr=torch.tensor(self._plan.rate, device=self._device))
        self._steps = [CapturedStep(step) for step in self._steps]

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.student.load_state_dict(state["student"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._discriminators.load_state_dict(state["discriminators"])
        self._discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])


def _computes_bfloat16(device: torch.device) -> bool:
    """True where bfloat16 is faster than float32, not emulated."""
    if device.type == "cuda":
        return False  # TensorFloat-32 is as fast for networks as small as these
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def _set_gradients(network: nn.Module, loss: Tensor, *, retain_graph: bool = False) -> None:
    """Set the gradients of ``loss`` by the weights of ``network``, and of no others."""
    network.zero_grad(set_to_none=True)
    loss.backward(retain_graph=retain_graph, inputs=list(network.parameters()))  # type: ignore[no-untyped-call]


def _duration_distance(student: Tensor, frames: Tensor) -> Tensor:
    """Absolute and squared distance of log(1 + frames).

    The absolute distance is least at the median: without the squared one the few long symbols at the end of a
    phrase are too short.
    """
    off = student - torch.log1p(frames.float())
    return off.abs() + _SQUARED * off.square()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of the values at which ``where`` is True."""
    return (values * where).sum() / where.sum()


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
