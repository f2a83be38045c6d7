"""Batches of utterances: whole for the prosody, cut for the sound."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES
from tools.student.targets import Target, read_shard

CUT_FRAMES = 64
"""Frames of a cut: 1.6 s. Utterances that are shorter teach the prosody only."""

MOST_SYMBOLS, MOST_FRAMES = 256, 640
"""Utterances with more symbols, or frames (16 s), are left out."""

_POOLED = 4
"""Batches that are sorted by length together: few of their places are filled up."""

_WORKERS = 4
"""Processes that read the batches of a GPU's steps, which take milliseconds."""


class Utterances(NamedTuple):
    """B utterances, filled up to the longest."""

    symbols: Tensor  # [B, L]
    present: Tensor  # True for symbols [B, L]
    frames: Tensor  # [B, L]
    owners: Tensor  # the symbol of each frame [B, T]
    sounding: Tensor  # True for frames [B, T]
    pitch: Tensor  # hertz [B, 2T]
    energy: Tensor  # [B, 2T]

    @classmethod
    def of(cls, targets: Sequence[Target], *, longest: bool = False) -> Utterances:
        """Fill ``targets`` up with zeros. longest: up to the longest that there may be."""
        symbols, frames = (MOST_SYMBOLS, MOST_FRAMES) if longest else (0, 0)
        owners = [_owners(target) for target in targets]
        return cls(
            filled([target.symbols for target in targets], symbols),
            filled([np.ones(len(target.symbols), bool) for target in targets], symbols),
            filled([target.frames for target in targets], symbols),
            filled(owners, frames),
            filled([np.ones(len(own), bool) for own in owners], frames),
            filled([target.pitch for target in targets], 2 * frames),
            filled([target.energy for target in targets], 2 * frames),
        )


class Cuts(NamedTuple):
    """Cuts of B utterances, C frames each, with all of their symbols."""

    symbols: Tensor  # [B, L]
    present: Tensor  # True for symbols [B, L]
    owners: Tensor  # the symbol of each frame [B, C]
    pitch: Tensor  # hertz [B, 2C]
    energy: Tensor  # [B, 2C]
    samples: Tensor  # [B, 600 C]

    @classmethod
    def of(cls, targets: Sequence[Target], chance: random.Random, *, longest: bool = False) -> Cuts:
        """Cut ``targets`` at places that are chosen by ``chance``. longest: see ``Utterances.of``."""
        symbols = MOST_SYMBOLS if longest else 0
        firsts = [chance.randint(0, int(target.frames.sum()) - CUT_FRAMES) for target in targets]

        def cut(rows: Sequence[np.ndarray], unit: int) -> Tensor:
            """Cut rows with ``unit`` values in a frame."""
            return filled(
                [row[unit * at : unit * (at + CUT_FRAMES)] for row, at in zip(rows, firsts, strict=True)]
            )

        return cls(
            filled([target.symbols for target in targets], symbols),
            filled([np.ones(len(target.symbols), bool) for target in targets], symbols),
            cut([_owners(target) for target in targets], 1),
            cut([target.pitch for target in targets], 2),
            cut([target.energy for target in targets], 2),
            cut([target.samples for target in targets], FRAME_SAMPLES),
        )


Made = TypeVar("Made", Utterances, Cuts)


def filled(rows: Sequence[np.ndarray], length: int = 0) -> Tensor:
    """Fill rows up with zeros to the longest, or to ``length`` [B, n]."""
    longest = length or max(map(len, rows))
    table = np.zeros((len(rows), longest), rows[0].dtype)
    for place, row in zip(table, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(table)


def _owners(target: Target) -> np.ndarray:
    return np.repeat(np.arange(len(target.frames)), target.frames)


def whole_batches(shards: Sequence[Path], size: int, seed: int, device: torch.device) -> Iterator[Utterances]:
    """Yield ``size`` whole utterances at a time on ``device``, without end, of similar length.

    A seed gives them in the same order. All batches of a GPU have one shape. Raises ValueError if the shards
    have no usable utterance.
    """
    longest = device.type == "cuda"
    made = _Batches(shards, size, seed, 1, lambda group, _: Utterances.of(group, longest=longest))
    return _loaded(made, device)


def cut_batches(shards: Sequence[Path], size: int, seed: int, device: torch.device) -> Iterator[Cuts]:
    """Yield a cut of each of ``size`` utterances; see ``whole_batches``."""
    longest = device.type == "cuda"
    made = _Batches(
        shards, size, seed, CUT_FRAMES, lambda group, chance: Cuts.of(group, chance, longest=longest)
    )
    return _loaded(made, device)


def _loaded(batches: _Batches[Made], device: torch.device) -> Iterator[Made]:
    on_gpu = device.type == "cuda"
    workers = _WORKERS if on_gpu else 0
    for batch in DataLoader(batches, batch_size=None, num_workers=workers, pin_memory=on_gpu):
        yield on_device(batch, device)


def on_device(batch: Made, device: torch.device) -> Made:
    """The batch on a device."""
    return type(batch)(*(part.to(device, non_blocking=True) for part in batch))


class _Batches(IterableDataset[Made], Generic[Made]):
    """Batches without end; each process that reads them has its own order."""

    def __init__(
        self,
        shards: Sequence[Path],
        size: int,
        seed: int,
        least_frames: int,
        make: Callable[[list[Target], random.Random], Made],
    ) -> None:
        """make: makes a batch of ``size`` utterances with ``least_frames`` or more."""
        self._shards, self._size, self._seed = shards, size, seed
        self._least_frames = least_frames
        self._make: Callable[[list[Target], random.Random], Made] = make

    def __iter__(self) -> Iterator[Made]:
        worker = get_worker_info()
        chance = random.Random(f"{self._seed} {worker.id if worker else 0}")  # noqa: S311 - an order, no secret
        pool: list[Target] = []
        for target in self._targets(chance):
            pool.append(target)
            if len(pool) == _POOLED * self._size:
                pool.sort(key=lambda target: int(target.frames.sum()))
                groups = [pool[at : at + self._size] for at in range(0, len(pool), self._size)]
                chance.shuffle(groups)
                yield from (self._make(group, chance) for group in groups)
                pool.clear()

    def _targets(self, chance: random.Random) -> Iterator[Target]:
        found = True
        while found:
            found = False
            order = list(self._shards)
            chance.shuffle(order)
            for shard in order:
                for target in read_shard(shard):
                    if self._fits(target):
                        found = True
                        yield target
        raise ValueError(f"no utterance in {len(self._shards)} shards can be used")

    def _fits(self, target: Target) -> bool:
        frames = int(target.frames.sum())
        return self._least_frames <= frames <= MOST_FRAMES and len(target.symbols) <= MOST_SYMBOLS
