"""A loaded model of VoxCPM's package: recordings in, patches of audio out.

Runs only in the environment of the package. Not thread-safe: the package keeps one cache of keys and values
in the model, and its codec's state in the codec's modules, so one utterance is spoken at a time.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.types import Samples
from kani.engines.voxcpm.parameters import Parameters

# Before the package is imported: no progress bar for each utterance, and no access to a hub.
os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}

_MIN_PATCHES = 16
"""Patches of audio that must fit after text and recording."""


class Stopped(Exception):
    """The utterance was cancelled."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A voice to speak with: latents [patches, patch size, latent size], and their text if it is known."""

    latents: Any  # torch.Tensor on the CPU
    text: str = ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Text to be spoken, its voice, parameters, seed and longest audio."""

    text: str
    parameters: Parameters
    prompt: Prompt | None
    max_patches: int
    seed: int


@dataclass(frozen=True, slots=True)
class Patches:
    """Some audio, and its latents [patches, patch size, latent size]."""

    samples: Samples
    latents: Any  # torch.Tensor on the CPU


class VoxCPMModel:
    """One checkpoint, on one device."""

    def __init__(self, folder: Path, device: str, denoiser: str | None) -> None:
        """Load the checkpoint of a folder. Raises ImportError, and EngineUnavailable."""
        import torch
        from safetensors import SafetensorError
        from voxcpm import VoxCPM

        try:
            self._package: Any = VoxCPM(
                str(folder),
                zipenhancer_model_path=denoiser,
                enable_denoiser=denoiser is not None,
                # Useful only on CUDA, and the package warms up for it.
                optimize=device.startswith(("auto", "cuda")) and torch.cuda.is_available(),
                device=device,
            )
        except (
            *(OSError, RuntimeError, ValueError, KeyError, TypeError),
            *(SafetensorError, pickle.UnpicklingError),
        ) as error:
            raise EngineUnavailable(
                f"the VoxCPM engine cannot load {folder} on {device}: {' '.join(str(error).split())[:400]}"
            ) from error
        self._model: Any = self._package.tts_model
        _check_weights(folder, self._model)
        self._stopped: Callable[[], bool] = lambda: False
        # The one module that the package calls once for each patch, compiled or not.
        self._model.feat_decoder.register_forward_pre_hook(self._check_stop)
        codec = self._model.audio_vae
        self.is_second = type(self._model).__name__ == "VoxCPM2Model"
        self.sample_rate = int(self._model.sample_rate)
        """Hertz of the audio."""
        self.encode_rate = int(codec.sample_rate)
        """Hertz of recordings."""
        self.patch_s = self._model.patch_size * self._model.chunk_size / self.encode_rate
        """Seconds of a patch."""
        self.denoises = self._package.denoiser is not None
        """True if recordings can be denoised."""

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Shape of a patch's latents."""
        return int(self._model.patch_size), int(self._model.audio_vae.latent_dim)

    def encode(self, samples: Samples) -> Any:
        """Return the latents of a recording at ``encode_rate``, [patches, patch size, latent size].

        It is padded at its beginning, as the package does it for a recording that speech continues.
        """
        import torch

        length = self._model.patch_size * self._model.chunk_size
        padded = np.concatenate((np.zeros(-len(samples) % length, np.float32), samples))
        with torch.inference_mode():
            audio = torch.from_numpy(padded)[None].to(self._model.device)
            latents = self._model.audio_vae.encode(audio, self.encode_rate).cpu()
        patch_size, latent_size = self.latent_shape
        return latents.view(latent_size, -1, patch_size).permute(1, 2, 0)

    def denoise(self, source: Path, target: Path) -> None:
        """Write the denoised recording of a file into another one."""
        self._package.denoiser.enhance(str(source), output_path=str(target))

    def speak(self, utterance: Utterance, stop: Callable[[], bool]) -> Generator[Patches]:
        """Yield the audio patch by patch, or at once where bad cases may be made again.

        stop: asked before each patch; once it is true, Stopped is raised. Raises InvalidRequest for a prompt
        that is too long for the model.
        """
        import torch

        self._stopped = stop
        arguments = self._arguments(utterance)
        torch.manual_seed(utterance.seed)
        if utterance.parameters.retry_badcase is not None:
            wav, _, latents = self._model.generate_with_prompt_cache(**arguments)
            yield Patches(_samples(wav), latents)
            return
        steps = self._model.generate_with_prompt_cache_streaming(**arguments)
        try:
            for wav, _, latents in steps:
                yield Patches(_samples(wav), latents[-1].squeeze(0).cpu())
        finally:
            steps.close()

    def _arguments(self, utterance: Utterance) -> dict[str, Any]:
        """Return the arguments of the package's call. Raises InvalidRequest."""
        parameters, prompt = utterance.parameters, utterance.prompt
        return {
            "target_text": utterance.text,
            "prompt_cache": self._cache(prompt),
            "max_len": min(utterance.max_patches, self._room(utterance.text, prompt)),
            "inference_timesteps": parameters.inference_timesteps,
            "cfg_value": parameters.cfg_value,
            "retry_badcase": bool(parameters.retry_badcase),
            # The package makes as many attempts, and fails where there is none.
            "retry_badcase_max_times": max(1, parameters.retry_badcase_max_times),
            "retry_badcase_ratio_threshold": parameters.retry_badcase_ratio_threshold,
        }

    def _cache(self, prompt: Prompt | None) -> dict[str, Any] | None:
        if prompt is None:
            return None
        if prompt.text:
            return {"prompt_text": prompt.text, "audio_feat": prompt.latents, "mode": "continuation"}
        if not self.is_second:
            raise InvalidRequest(
                "prompt_text", "this VoxCPM model needs the words that are spoken in the recording"
            )
        return {"ref_audio_feat": prompt.latents, "mode": "reference"}

    def _room(self, text: str, prompt: Prompt | None) -> int:
        """Patches that fit into the model's memory after text and prompt. Raises InvalidRequest."""
        written = text if prompt is None else prompt.text + text
        patches = 0 if prompt is None else len(prompt.latents)
        # The tokens around the text and the reference are three at most.
        room = int(self._model.config.max_length) - len(self._model.text_tokenizer(written)) - patches - 3
        if room < _MIN_PATCHES:
            longest_s = int((patches + room - _MIN_PATCHES) * self.patch_s)
            if patches and longest_s > 0:
                limit = f"at most {longest_s} s with this text"
                raise InvalidRequest("reference", f"too long for this VoxCPM model ({limit})")
            field = "text" if prompt is None or not prompt.text else "prompt_text"
            raise InvalidRequest(field, "too long for this VoxCPM model: shorten it")
        return room

    def _check_stop(self, *_: object) -> None:
        if self._stopped():
            raise Stopped


def _samples(wav: Any) -> Samples:
    samples: Samples = wav.squeeze(0).float().cpu().numpy()
    return samples


def _check_weights(folder: Path, model: Any) -> None:
    """Check that every weight was in the files, as the package leaves missing ones random, and is finite.

    Raises EngineUnavailable.
    """
    import torch

    names = _stored_names(folder)
    for name, weight in model.named_parameters():
        stored = name.replace("._orig_mod.", ".")
        if stored not in names:
            raise EngineUnavailable(
                f"{folder} is of another architecture, or incomplete: its files have no {stored}"
            )
        if not torch.isfinite(weight).all():
            raise EngineUnavailable(
                f"{folder} is damaged: {stored} has NaN or infinite values; remove it and fetch it again"
            )


def _stored_names(folder: Path) -> set[str]:
    names = set(_names_in(folder, ("model.safetensors", "pytorch_model.bin")))
    return names | {
        f"audio_vae.{name}" for name in _names_in(folder, ("audiovae.safetensors", "audiovae.pth"))
    }


def _names_in(folder: Path, kinds: tuple[str, str]) -> list[str]:
    """Names of the weights in the file that the package takes: the first of the kinds that is there."""
    import torch
    from safetensors import safe_open

    path = next(folder / name for name in kinds if (folder / name).is_file())
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt", device="cpu") as file:
            return list(file.keys())
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return list(content.get("state_dict", content))
