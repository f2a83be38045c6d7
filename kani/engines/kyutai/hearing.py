"""Kyutai's speech-to-text by its makers' package, moshi. Runs only in its environment.

All streams are rows of one batch of the package's, as in Kyutai's own server.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import PAUSE_LENGTHS_S, STEP_S, RecognizerInfo
from kani.core.types import Samples
from kani.engines.kyutai import loading
from kani.engines.kyutai.words import Delays, WordAssembler
from kani.engines.packages.adapter import Word
from kani.engines.plugin import Resources

RECOGNIZER = "kyutai"
SAMPLE_RATE = 24_000
FRAME_SAMPLES = round(STEP_S * SAMPLE_RATE)

Pauses = tuple[float, float, float, float]


class Heard(NamedTuple):
    """Result of one frame for its stream."""

    token: int
    probability: float
    pauses: Pauses | None  # None where the checkpoint has no heads for them


class KyutaiHearing:
    """One checkpoint on one device. See ``HearingAdapter``."""

    streams: int
    cure = ""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        """See ``HearingAdapter.load``; settings: what ``files.find_hearing`` returns."""
        self.cure = loading.cure(settings["folder"], "KANI_RECOGNIZER_MODEL")
        if resources.precision == "int8":
            # A setting of the Kani model, too; the package has it only of checkpoints that are made so.
            resources = replace(resources, precision="auto")
        device, precision = loading.prepare(resources)
        import torch
        from moshi.models import LMGen

        self.streams = settings["slots"] or (64 if device.startswith("cuda") else 4)
        info = loading.checkpoint(Path(settings["folder"]))
        self._codec: Any = info.get_mimi(device=device)
        network = info.get_moshi(device=device, dtype=precision)
        self._tokenizer: Any = info.get_text_tokenizer()
        loading.check_finite(network, self._codec)
        if (self._codec.sample_rate, self._codec.frame_size) != (SAMPLE_RATE, FRAME_SAMPLES):
            raise ValueError(f"its frames are not of {FRAME_SAMPLES} samples at {SAMPLE_RATE} Hz")
        # Always the likeliest token, as its published settings have it.
        self._model: Any = LMGen(
            network, use_sampling=False, on_text_logits_hook=self._keep_logits, support_out_of_sync=True
        )
        self._device = torch.device(device)
        self._padding = int(network.text_padding_token_id)
        self._delays = Delays.of_seconds(settings["before_s"], settings["text_s"])
        self._free = list(range(self.streams))
        self._waiting: dict[int, tuple[Samples, bool, asyncio.Future[Heard]]] = {}
        self._steps: asyncio.Task[None] | None = None
        # One thread: steps follow each other, and OpenMP's helpers stay with it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=RECOGNIZER)
        self._thread.submit(self._begin).result()
        return RecognizerInfo(
            RECOGNIZER,
            settings["version"],
            SAMPLE_RATE,
            frozenset(settings["languages"]),
            live_delay_s=self._delays.text_s,
        )

    def _begin(self) -> None:
        """Begin the batch. Raises EngineUnavailable where the memory is short."""
        try:
            self._codec.streaming_forever(self.streams)
            self._model.streaming_forever(self.streams)
            self._step({0: (np.zeros(FRAME_SAMPLES, np.float32), True)})
        except RuntimeError as error:
            raise EngineUnavailable(
                f"Kyutai's recogniser cannot hear {self.streams} streams: set KANI_RECOGNIZER_SLOTS lower "
                f"where the memory is short ({error})"
            ) from error

    async def listen(self, language: str | None) -> KyutaiSession:
        """See ``HearingAdapter.listen``. The model takes no language: it recognises its own as spoken."""
        # The lowest row, which a stream before may just have left.
        assembler = WordAssembler(self._delays, self._padding, self._decode)
        return KyutaiSession(self, heapq.heappop(self._free), self._delays, assembler)

    def leave(self, row: int) -> None:
        """Free the row of a stream; the next one begins it anew."""
        heapq.heappush(self._free, row)

    async def hear_frame(self, row: int, samples: Samples, *, begins: bool) -> Heard:
        """Hear the next frame of a row, with the frames of other rows that wait.

        Cancelled, it leaves the batch. Raises what the package raises.
        """
        heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._waiting[row] = samples, begins, heard
        if self._steps is None or self._steps.done():
            self._steps = asyncio.create_task(self._run(), name="kyutai steps")
        return await heard

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = {row: each for row, each in self._waiting.items() if not each[2].done()}
            self._waiting.clear()
            if not batch:
                return
            frames = {row: (samples, begins) for row, (samples, begins, _) in batch.items()}
            try:
                found = await loop.run_in_executor(self._thread, self._step, frames)
            except (
                Exception
            ) as error:  # models and drivers raise errors of any type: the streams must learn it
                for _, _, heard in batch.values():
                    if not heard.done():
                        heard.set_exception(error)
                continue
            for row, (_, _, heard) in batch.items():
                if not heard.done():
                    heard.set_result(found[row])

    def _step(self, frames: Mapping[int, tuple[Samples, bool]]) -> dict[int, Heard]:
        """Hear a frame of some rows. Raises what the package raises."""
        import torch

        audio = np.zeros((self.streams, 1, FRAME_SAMPLES), np.float32)
        for row, (samples, _) in frames.items():
            audio[row, 0] = samples
        mask, begins = self._mask(frames), self._mask(row for row, (_, new) in frames.items() if new)
        with torch.inference_mode():
            if begins.any():
                self._codec.reset_streaming(begins)
                self._model.reset_streaming(begins)
            self._codec.set_exec_mask(mask)
            codes = self._codec.encode(torch.from_numpy(audio).to(self._device))
            if begins.any():
                # The model's first step reads its own initial tokens instead of the codes.
                self._model.set_exec_mask(begins)
                self._model.step(codes)
            self._model.set_exec_mask(mask)
            tokens, heads = self._model.step_with_extra_heads(codes)
            chosen = tokens[:, 0, 0].tolist()
            # Of the first class: that the pause is at least so long.
            pauses = [[float(head) for head in each[:, 0, 0]] for each in heads]
            probabilities = self._logits[:, 0, 0].float().softmax(-1)
            told = len(pauses) == len(PAUSE_LENGTHS_S)
            return {
                row: Heard(
                    chosen[row],
                    float(probabilities[row, chosen[row]]),
                    (pauses[0][row], pauses[1][row], pauses[2][row], pauses[3][row]) if told else None,
                )
                for row in frames
            }

    def _mask(self, rows: Any) -> Any:
        import torch

        mask = torch.zeros(self.streams, dtype=torch.bool)
        mask[list(rows)] = True
        return mask.to(self._device)

    def _keep_logits(self, logits: Any) -> None:
        self._logits = logits

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens)))


class KyutaiSession:
    """One stream. See ``LiveSession``."""

    def __init__(self, model: KyutaiHearing, row: int, delays: Delays, words: WordAssembler) -> None:
        self.pauses: Pauses | None = None
        self._model = model
        self._row = row
        self._delays = delays
        self._words = words
        self._begun = False

    @property
    def pending(self) -> bool:
        """See ``LiveSession.pending``."""
        return self._words.pending

    async def feed(self, samples: Samples) -> list[Word]:
        """See ``LiveSession.feed``."""
        if not self._begun:
            await self._silence(self._delays.before)
        return await self._hear(samples)

    async def finish(self) -> list[Word]:
        """See ``LiveSession.finish``."""
        words = await self._silence(self._delays.after) if self._begun else []
        return words + self._words.finish()

    async def close(self) -> None:
        """See ``LiveSession.close``."""
        self._model.leave(self._row)

    async def _silence(self, frames: int) -> list[Word]:
        silence = np.zeros(FRAME_SAMPLES, np.float32)
        return [word for _ in range(frames) for word in await self._hear(silence)]

    async def _hear(self, samples: Samples) -> list[Word]:
        begins, self._begun = not self._begun, True
        heard = await self._model.hear_frame(self._row, samples, begins=begins)
        self.pauses = heard.pauses
        return self._words.take(heard.token, heard.probability)
