"""Stands for nano-vllm-voxcpm 2.0.5, which needs CUDA: its asynchronous calls, and tones for speech.

A patch is 160 ms of a tone whose pitch is the seed, as loud as the first number of the voice's latents; there
are as many as words. Latents of a recording are its mean level.
"""

import asyncio
import io
import wave

import numpy as np

RATE, PATCH, SIZE, LONGEST = 16_000, 4, 8, 400


class VoxCPM:
    """The package's entry."""

    @staticmethod
    def from_pretrained(model: str, max_num_seqs: int, devices: list[int]) -> "Pool":
        """Return a pool; in a running event loop the package's is asynchronous."""
        asyncio.get_running_loop()
        assert max_num_seqs == 64
        if devices != [0]:
            raise ValueError(f"no CUDA device {devices[0]}")
        return Pool()


class WorkerDiedError(RuntimeError):
    """The package's process has died."""


class Pool:
    """The package's ``AsyncVoxCPM2ServerPool``."""

    async def wait_for_ready(self) -> None:
        """Load nothing."""

    async def get_model_info(self) -> dict[str, object]:
        return {"sample_rate": RATE, "patch_size": PATCH, "feat_dim": SIZE}

    async def encode_latents(self, wav: bytes, wav_format: str) -> bytes:
        """Return latents as the package does: float32, whole patches."""
        with wave.open(io.BytesIO(wav)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768
        return np.full(PATCH * SIZE, np.abs(samples).mean(), np.float32).tobytes()

    async def generate(
        self,
        target_text: str,
        prompt_latents: bytes | None = None,
        prompt_text: str = "",
        max_generate_length: int = 2000,
        cfg_value: float = 2.0,
        ref_audio_latents: bytes | None = None,
        seed: int | None = None,
    ):
        assert (prompt_latents is None) == (not prompt_text) and cfg_value > 0
        if len(target_text) > LONGEST:
            raise RuntimeError("Traceback … ValueError: Request may exceed max_model_len: …")
        latents = prompt_latents or ref_audio_latents
        level = float(np.frombuffer(latents, np.float32)[0]) if latents else 0.3
        times = np.arange(round(0.16 * RATE)) / RATE
        for _ in range(min(len(target_text.split()), max_generate_length)):
            await asyncio.sleep(0.01)
            yield (level * np.cos(2 * np.pi * (100 + seed % 9_000 / 2) * times)).astype(np.float32)
            if target_text == "die":
                raise WorkerDiedError("worker process died unexpectedly (exitcode=-9)")
