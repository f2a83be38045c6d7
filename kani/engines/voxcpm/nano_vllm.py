"""VoxCPM by nano-vllm-voxcpm, which speaks many segments at once on CUDA. Runs only in its environment."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncGenerator, Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import InvalidRequest
from kani.core.types import Samples, Span
from kani.engines.packages.adapter import RECORDING_RATE, Recent, Utterance
from kani.engines.plugin import Resources
from kani.engines.voxcpm import published
from kani.engines.voxcpm.parameters import Parameters

STREAMS = 64
"""Segments at once: those that its makers measured on one RTX 4090."""

LEAST_PATCH_S = 0.08


class NanoVLLM:
    """One checkpoint on one CUDA device. See ``SpeechAdapter``."""

    cure = published.CURE

    async def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        """See ``SpeechAdapter.load``."""
        from nanovllm_voxcpm import VoxCPM as Package

        folder, (_, _, number) = Path(settings["folder"]), resources.device.partition(":")
        self._rate = int(settings[RECORDING_RATE])
        self._pool: Any = Package.from_pretrained(
            str(folder), max_num_seqs=STREAMS, devices=[int(number or 0)]
        )
        await self._pool.wait_for_ready()
        model = await self._pool.get_model_info()
        self._patch_values = int(model["patch_size"]) * int(model["feat_dim"])
        self._output_rate = int(model["sample_rate"])
        self._second = settings["architecture"] == "voxcpm2"
        self._made: Recent[str, tuple[Samples, str]] = Recent(published.MAX_VOICES)
        return published.describe(
            folder,
            settings["architecture"],
            self._output_rate,
            used={"seed", "prompt_text", "cfg_value"},
            streams=STREAMS,
        )

    async def embed(self, samples: Samples) -> Samples:
        """See ``SpeechAdapter.embed``: latents of a recording."""
        return np.frombuffer(await self._encoded(samples, self._rate), np.float32)

    async def _encoded(self, samples: Samples, rate: int) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(rate)
            written.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
        latents: bytes = await self._pool.encode_latents(file.getvalue(), "wav")
        return latents

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Samples | Span, None]:
        """See ``SpeechAdapter.speak``; a patch at a time."""
        segment, parameters = utterance.segment, Parameters.of(utterance.segment.options)
        prompt = await self._prompt(utterance, parameters.prompt_text)
        made: list[Samples] = []
        try:
            async for samples in self._pool.generate(
                target_text=" ".join(segment.text.split()),
                max_generate_length=ceil(segment.max_seconds / LEAST_PATCH_S) + 1,
                cfg_value=parameters.cfg_value,
                seed=utterance.seed,
                **prompt,
            ):
                made.append(samples)
                yield samples
        except RuntimeError as error:
            if "max_model_len" in str(error):
                raise InvalidRequest("text", "too long for this VoxCPM model: shorten it") from None
            raise
        if not prompt and segment.session and made:
            # The next segments of the session speak in the voice that the model chose for this one.
            self._made.keep(segment.session, (np.concatenate(made), f"{segment.text.strip()} "))

    async def _prompt(self, utterance: Utterance, text: str) -> dict[str, Any]:
        """Return the arguments that name the voice; none if the model chooses. Raises InvalidRequest."""
        segment = utterance.segment
        if (embedding := segment.embedding) is None:
            if text:
                raise InvalidRequest("prompt_text", "is the transcript of a recording: there is none")
            if segment.session not in self._made:
                return {}
            samples, text = self._made[segment.session]
            latents = await self._encoded(samples, self._output_rate)
        else:
            values = np.ascontiguousarray(embedding.values, np.float32)
            if len(values) % self._patch_values:
                raise InvalidRequest("reference", "the embedding is not one of this model")
            latents = values.tobytes()
        if text:
            return {"prompt_latents": latents, "prompt_text": text}
        if not self._second:
            raise InvalidRequest("prompt_text", published.NEEDS_WORDS)
        return {"ref_audio_latents": latents}
