"""VoxCPM by nano-vllm-voxcpm, which speaks many segments at once on CUDA. Runs only in its environment."""

import asyncio
import importlib
import io
import logging
import os
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from math import ceil
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import InvalidRequest
from kani.core.types import Samples
from kani.engines.packages.adapter import Spoken, Utterance
from kani.engines.plugin import RECORDING_RATE, Resources
from kani.engines.voxcpm.parameters import Parameters
from kani.engines.voxcpm.voices import Voices

STREAMS = 64
"""Segments at once: those that its makers measured on one RTX 4090."""

LEAST_PATCH_S = 0.08

_LOGGED_S = 0.1
"""Seconds for the last line of the log to reach the server."""

log = logging.getLogger(__name__)


class NanoVLLM:
    """One checkpoint on one CUDA device: a ``SpeechAdapter``."""

    async def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        # In a thread: it imports torch, and the worker gives signs of life meanwhile.
        package = await asyncio.to_thread(importlib.import_module, "nanovllm_voxcpm")
        number = resources.device.partition(":")[2]
        self._rate = int(settings[RECORDING_RATE])
        self._pool: Any = package.VoxCPM.from_pretrained(
            settings["folder"], max_num_seqs=STREAMS, devices=[int(number or 0)]
        )
        await self._pool.wait_for_ready()
        model = await self._pool.get_model_info()
        self._output_rate = int(model["sample_rate"])
        self._voices = Voices(settings, int(model["patch_size"]) * int(model["feat_dim"]))
        used = {"seed", "prompt_text", "cfg_value"}
        return self._voices.describe(self._output_rate, used, streams=STREAMS)

    async def embed(self, samples: Samples) -> Samples:
        return np.frombuffer(await self._encoded(samples, self._rate), np.float32)

    async def _encoded(self, samples: Samples, rate: int) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(rate)
            written.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
        async with _ends_with_its_process():
            latents: bytes = await self._pool.encode_latents(file.getvalue(), "wav")
        return latents

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Spoken, None]:
        segment, parameters = utterance.segment, Parameters.of(utterance.segment.options)
        prompt, voice = self._voices.of(segment, parameters.prompt_text), dict[str, Any]()
        if prompt is not None and prompt.text:
            voice = {"prompt_latents": bytes(prompt.latents), "prompt_text": prompt.text}
        elif prompt is not None:
            voice = {"ref_audio_latents": bytes(prompt.latents)}
        made: list[Samples] = []
        try:
            patches = self._pool.generate(
                target_text=" ".join(segment.text.split()),
                max_generate_length=ceil(segment.max_seconds / LEAST_PATCH_S) + 1,
                cfg_value=parameters.cfg_value,
                seed=utterance.seed,
                **voice,
            )
            async with _ends_with_its_process(), aclosing(patches):
                async for samples in patches:
                    made.append(samples)
                    yield samples
        except RuntimeError as error:
            if "max_model_len" in str(error):
                raise InvalidRequest("text", "too long for this VoxCPM model: shorten it") from None
            raise
        if prompt is None and segment.session and made:
            self._voices.keep(segment, await self._encoded(np.concatenate(made), self._output_rate))


@asynccontextmanager
async def _ends_with_its_process() -> AsyncIterator[None]:
    """End the worker once the package's process has died: the server starts another, the package does not."""
    try:
        yield
    except RuntimeError as error:
        # By its name: older releases of the package have no such class.
        if type(error).__name__ != "WorkerDiedError":
            raise
        log.error("the process of nano-vllm was lost: %s", error)
        await asyncio.sleep(_LOGGED_S)
        os._exit(1)
