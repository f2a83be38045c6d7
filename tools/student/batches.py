"""Batches of targets, whole for the prosody and cut for the sound."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from tools.student.targets import Target, read_shard


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B utterances, filled up to the longest."""

    symbols: Tensor  # [B, L]
    present: Tensor  # True for symbols [B, L]
    frames: Tensor  # [B, L]
    owners: Tensor  # the symbol of each frame [B, T]
    sounding: Tensor  # True for frames [B, T]
    pitch: Tensor  # hertz [B, 2T]
    energy: Tensor  # [B, 2T]
    samples: Tensor  # [B, 600 T], or [B, 0]

    @classmethod
    def of(cls, targets: Sequence[Target]) -> Batch:
        """Fill ``targets`` up with zeros."""

        def filled(rows: Sequence[np.ndarray]) -> Tensor:
            return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)

        owners = [np.repeat(np.arange(len(target.frames)), target.frames) for target in targets]
        return cls(
            filled([target.symbols for target in targets]),
            filled([np.ones(len(target.symbols), bool) for target in targets]),
            filled([target.frames for target in targets]),
            filled(owners),
            filled([np.ones(len(own), bool) for own in owners]),
            filled([target.pitch for target in targets]),
            filled([target.energy for target in targets]),
            filled([target.samples for target in targets]),
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def batches(shards: Sequence[Path], seconds: float, seed: int) -> Iterator[Batch]:
    """Yield batches of about ``seconds`` of speech without end; a seed gives them in the same order.

    Each batch holds utterances of one shard, of similar length.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    while True:
        order = list(shards)
        chance.shuffle(order)
        for shard in order:
            yield from _of_shard(list(read_shard(shard)), seconds, chance)


def _of_shard(targets: list[Target], seconds: float, chance: random.Random) -> Iterator[Batch]:
    targets.sort(key=lambda target: int(target.frames.sum()))
    groups: list[list[Target]] = [[]]
    for target in targets:
        longest = int(target.frames.sum()) * FRAME_SAMPLES / 24_000
        if groups[-1] and longest * (len(groups[-1]) + 1) > seconds:
            groups.append([])
        groups[-1].append(target)
    chance.shuffle(groups)
    yield from map(Batch.of, groups)
