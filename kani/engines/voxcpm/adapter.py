"""VoxCPM's package, voxcpm, in its own words. Runs only in its environment.

One utterance is spoken at a time: the package keeps one cache of keys and values in the model, and its
codec's state in the codec's modules.
"""

import tempfile
import threading
from collections.abc import Generator, Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import InvalidRequest
from kani.core.types import Samples, Segment
from kani.engines.packages.adapter import Spoken, Utterance, check_finite
from kani.engines.plugin import RECORDING_RATE, Resources
from kani.engines.voxcpm.parameters import Parameters
from kani.engines.voxcpm.voices import Prompt, Voices

MIN_PATCHES = 16
"""Patches of audio that must fit after text and recording."""


class VoxCPM:
    """One checkpoint, on one device: a ``SpeechAdapter``."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        import torch
        from voxcpm import VoxCPM as Package

        folder, device, denoiser = Path(settings["folder"]), resources.device, settings["denoiser"]
        self._package: Any = Package(
            str(folder),
            zipenhancer_model_path=denoiser,
            enable_denoiser=denoiser is not None,
            # Useful only on CUDA, and the package warms up for it.
            optimize=device.startswith(("auto", "cuda")) and torch.cuda.is_available(),
            device=device,
        )
        self._model: Any = self._package.tts_model
        check_weights(folder, self._model)
        self._stopped = threading.Event()
        # The one module that the package calls once for each patch, compiled or not.
        self._model.feat_decoder.register_forward_pre_hook(self._check_stop)
        self._denoises = self._package.denoiser is not None
        self._rate = int(settings[RECORDING_RATE])
        size, audio_vae = int(self._model.patch_size), self._model.audio_vae
        self._latent_shape = (size, int(audio_vae.latent_dim))
        self._patch_s = size * self._model.chunk_size / audio_vae.sample_rate
        self._voices = Voices(settings, (1 + self._denoises) * size * int(audio_vae.latent_dim))
        used = {"seed", *Parameters.__struct_fields__} - (set() if self._denoises else {"denoise"})
        return self._voices.describe(int(self._model.sample_rate), used)

    def embed(self, samples: Samples) -> Samples:
        """Return the latents of a recording, and of the denoised one if there is a denoiser."""
        recordings = [samples, self._denoised(samples)] if self._denoises else [samples]
        values: Samples = np.concatenate([self._encode(each) for each in recordings])
        return values

    def _encode(self, samples: Samples) -> Samples:
        """Return the latents of a recording, [patches, patch size, latent size] one after the other.

        It is padded at its beginning, as the package does it for a recording that speech continues.
        """
        import torch

        length = self._model.patch_size * self._model.chunk_size
        padded = np.concatenate((np.zeros(-len(samples) % length, np.float32), samples))
        with torch.inference_mode():
            audio = torch.from_numpy(padded)[None].to(self._model.device)
            latents: Samples = self._model.audio_vae.encode(audio, self._rate).float().cpu().numpy()
        patch_size, latent_size = self._latent_shape
        return latents.reshape(latent_size, -1, patch_size).transpose(1, 2, 0).ravel()

    def _denoised(self, samples: Samples) -> Samples:
        """Denoise a recording. Runs through files: the denoiser takes no samples."""
        import soundfile
        import soxr

        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "recording.wav"), Path(folder, "denoised.wav")
            soundfile.write(source, samples, self._rate)
            self._package.denoiser.enhance(str(source), output_path=str(target))
            found, rate = soundfile.read(target, dtype="float32", always_2d=True)
        mono: Samples = soxr.resample(found.mean(1), rate, self._rate).astype(np.float32)
        return mono

    def speak(self, utterance: Utterance) -> Generator[Spoken, None, None]:
        """Yield patches of 80 or 160 ms, or all at once for ``retry_badcase``.

        Raises InvalidRequest for options out of range, and for a prompt that is too long for the model.
        """
        import torch

        segment, parameters = utterance.segment, Parameters.of(utterance.segment.options)
        prompt = self._voices.of(segment, parameters.prompt_text)
        if segment.embedding is not None and prompt is not None:
            # The second half is of the denoised recording.
            each = prompt.latents.reshape(1 + self._denoises, -1, *self._latent_shape)
            prompt = Prompt(torch.from_numpy(each[-1 if parameters.denoise else 0].copy()), prompt.text)
        arguments = self._arguments(segment, parameters, prompt)
        latents: list[Any] = []
        self._stopped = utterance.stopped
        torch.manual_seed(utterance.seed)
        whole = parameters.retry_badcase is not None
        if whole:
            parts = [self._model.generate_with_prompt_cache(**arguments)]
        else:
            parts = self._model.generate_with_prompt_cache_streaming(**arguments)
        for wav, _, made in parts:
            latents.append(made if whole else made[-1].squeeze(0).cpu())
            yield wav.squeeze(0).float().cpu().numpy()
        if prompt is None and segment.session and latents:
            self._voices.keep(segment, torch.cat(latents))

    def _arguments(self, segment: Segment, parameters: Parameters, prompt: Prompt | None) -> dict[str, Any]:
        """Return the arguments of the package's call. Raises InvalidRequest."""
        # As the package does it.
        text = " ".join(segment.text.split())
        cache = None
        if prompt is not None and prompt.text:
            cache = {"prompt_text": prompt.text, "audio_feat": prompt.latents, "mode": "continuation"}
        elif prompt is not None:
            cache = {"ref_audio_feat": prompt.latents, "mode": "reference"}
        # One patch more than fits: by that the core knows that speech was cut.
        most = ceil(segment.max_seconds / self._patch_s - 1e-6) + 1
        return {
            "target_text": text,
            "prompt_cache": cache,
            "max_len": min(most, self._room(text, prompt)),
            "inference_timesteps": parameters.inference_timesteps,
            "cfg_value": parameters.cfg_value,
            "retry_badcase": bool(parameters.retry_badcase),
            # The package makes as many attempts, and fails where there is none.
            "retry_badcase_max_times": max(1, parameters.retry_badcase_max_times),
            "retry_badcase_ratio_threshold": parameters.retry_badcase_ratio_threshold,
        }

    def _room(self, text: str, prompt: Prompt | None) -> int:
        """Patches that fit into the model's memory after text and prompt. Raises InvalidRequest."""
        written = text if prompt is None else prompt.text + text
        patches = 0 if prompt is None else len(prompt.latents)
        # The tokens around the text and the reference are three at most.
        room = int(self._model.config.max_length) - len(self._model.text_tokenizer(written)) - patches - 3
        if room < MIN_PATCHES:
            longest_s = int((patches + room - MIN_PATCHES) * self._patch_s)
            if patches and longest_s > 0:
                limit = f"at most {longest_s} s with this text"
                raise InvalidRequest("reference", f"too long for this VoxCPM model ({limit})")
            field = "text" if prompt is None or not prompt.text else "prompt_text"
            raise InvalidRequest(field, "too long for this VoxCPM model: shorten it")
        return room

    def _check_stop(self, *_: object) -> None:
        if self._stopped.is_set():
            raise RuntimeError("the utterance was stopped")


def check_weights(folder: Path, model: Any) -> None:
    """Raise ValueError for a weight that no file has, as the package leaves such random, or is not finite."""
    names = {*_names_in(folder, "model.safetensors", "pytorch_model.bin")}
    names |= {f"audio_vae.{name}" for name in _names_in(folder, "audiovae.safetensors", "audiovae.pth")}
    for name, _ in model.named_parameters():
        if (stored := name.replace("._orig_mod.", ".")) not in names:
            raise ValueError(f"it is of another architecture, or incomplete: its files have no {stored}")
    check_finite(model)


def _names_in(folder: Path, *kinds: str) -> list[str]:
    """Names of the weights in the file that the package takes: the first of the kinds that is there."""
    import torch
    from safetensors import safe_open

    path = next(folder / name for name in kinds if (folder / name).is_file())
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt", device="cpu") as file:
            return list(file.keys())
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return list(content.get("state_dict", content))
