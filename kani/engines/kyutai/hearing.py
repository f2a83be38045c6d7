"""Kyutai's speech-to-text by its makers' package, moshi. Runs only in its environment.

All streams are rows of one batch of the package's, as in Kyutai's own server.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from kani.core.recognizer import PAUSE_LENGTHS_S, STEP_S, RecognizerInfo
from kani.core.transcriber import TranscribedWord
from kani.core.types import Samples
from kani.engines.kyutai import loading
from kani.engines.kyutai.published import HEARING_RATE
from kani.engines.kyutai.words import Delays, WordAssembler
from kani.engines.packages.adapter import check_finite
from kani.engines.plugin import Resources

RECOGNIZER = "kyutai"
FRAME_SAMPLES = round(STEP_S * HEARING_RATE)


class Heard(NamedTuple):
    """Result of one frame for its stream."""

    token: int
    probability: float
    pauses: tuple[float, ...]  # empty where the checkpoint has no heads for them


class KyutaiHearing:
    """One checkpoint on one device: a ``HearingAdapter``."""

    streams: int

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        if resources.precision == "int8":
            # A setting of the Kani model, too; the package has it only of checkpoints that are made so.
            resources = replace(resources, precision="auto")
        info, device, precision = loading.begin(settings["files"], resources)
        import torch
        from moshi.models import LMGen

        self.streams = 64 if device.startswith("cuda") else 4
        self._codec: Any = info.get_mimi(device=device)
        network = info.get_moshi(device=device, dtype=precision)
        self._tokenizer: Any = info.get_text_tokenizer()
        check_finite(network, self._codec)
        if (self._codec.sample_rate, self._codec.frame_size) != (HEARING_RATE, FRAME_SAMPLES):
            raise ValueError(f"its frames are not of {FRAME_SAMPLES} samples at {HEARING_RATE} Hz")
        # Always the likeliest token, as its published settings have it.
        self._model: Any = LMGen(
            network, use_sampling=False, on_text_logits_hook=self._keep_logits, support_out_of_sync=True
        )
        self._device = torch.device(device)
        self._padding = int(network.text_padding_token_id)
        self._delays = Delays.of_seconds(settings["before_s"], settings["text_s"])
        self._free = list(range(self.streams))
        self._waiting: dict[int, tuple[Samples, bool]] = {}
        self._next: asyncio.Task[dict[int, Heard]] | None = None
        self._running: asyncio.Task[dict[int, Heard]] | None = None
        # One thread: steps follow each other, and OpenMP's helpers stay with it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=RECOGNIZER)
        self._thread.submit(self._begin).result()
        return RecognizerInfo(
            RECOGNIZER,
            settings["version"],
            HEARING_RATE,
            frozenset(settings["languages"]),
            live_delay_s=self._delays.text_s,
        )

    def _begin(self) -> None:
        """Begin the batch. Raises what the package raises, also where the memory is short."""
        self._codec.streaming_forever(self.streams)
        self._model.streaming_forever(self.streams)
        self._step({0: (np.zeros(FRAME_SAMPLES, np.float32), True)})

    async def listen(self, language: str | None) -> KyutaiSession:
        """Begin a live session. The model takes no language: it recognises its own as spoken."""
        # The lowest row, which a stream before may just have left.
        assembler = WordAssembler(self._delays, self._padding, self._decode)
        return KyutaiSession(self, heapq.heappop(self._free), self._delays, assembler)

    def leave(self, row: int) -> None:
        """Free the row of a stream; the next one begins it anew."""
        self._waiting.pop(row, None)
        heapq.heappush(self._free, row)

    async def hear_frame(self, row: int, samples: Samples, *, begins: bool) -> Heard:
        """Hear the next frame of a row, with the frames of other rows that wait meanwhile.

        Raises what the package raises.
        """
        self._waiting[row] = samples, begins
        if self._next is None:
            self._next = asyncio.create_task(self._hear_waiting(self._running), name="kyutai step")
        return (await asyncio.shield(self._next))[row]

    async def _hear_waiting(self, before: asyncio.Task[dict[int, Heard]] | None) -> dict[int, Heard]:
        if before is not None:
            await asyncio.wait([before])
        frames, self._waiting = self._waiting, {}
        self._running, self._next = self._next, None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._step, frames)

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
            probabilities = self._logits[:, 0, 0].float().softmax(-1)
            # Of the first class: that the pause is at least so long.
            pauses = [head[:, 0, 0].tolist() for head in heads] if len(heads) == len(PAUSE_LENGTHS_S) else []
            return {
                row: Heard(
                    chosen[row], float(probabilities[row, chosen[row]]), tuple(pause[row] for pause in pauses)
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
    """One stream: a ``LiveSession``."""

    def __init__(self, model: KyutaiHearing, row: int, delays: Delays, words: WordAssembler) -> None:
        self.pauses: tuple[float, ...] = ()
        self._model = model
        self._row = row
        self._delays = delays
        self._words = words
        self._begun = False

    @property
    def pending(self) -> bool:
        return self._words.pending

    async def feed(self, samples: Samples) -> list[TranscribedWord]:
        if not self._begun:
            await self._silence(self._delays.before)
        return await self._hear(samples)

    async def finish(self) -> list[TranscribedWord]:
        words = await self._silence(self._delays.after) if self._begun else []
        return words + self._words.finish()

    async def close(self) -> None:
        self._model.leave(self._row)

    async def _silence(self, frames: int) -> list[TranscribedWord]:
        silence = np.zeros(FRAME_SAMPLES, np.float32)
        return [word for _ in range(frames) for word in await self._hear(silence)]

    async def _hear(self, samples: Samples) -> list[TranscribedWord]:
        begins, self._begun = not self._begun, True
        heard = await self._model.hear_frame(self._row, samples, begins=begins)
        self.pauses = heard.pauses
        return self._words.take(heard.token, heard.probability)
