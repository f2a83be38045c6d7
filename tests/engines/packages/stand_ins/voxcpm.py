"""Stands for voxcpm 2.0.3: a voice is how loud it is, as are the latents of a recording."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace as Part

import numpy as np
import torch

LENGTH, LONGEST = 2_560, 512


class VoxCPM:
    """The package's entry."""

    def __init__(self, folder: str, *, zipenhancer_model_path: str | None, device: str, **_: object) -> None:
        config = json.loads(Path(folder, "config.json").read_text())
        self.tts_model = _Model(config["architecture"])
        self.denoiser = None


class _Model:
    sample_rate, patch_size, chunk_size, device = 16_000, 2, LENGTH // 2, "cpu"
    text_tokenizer = staticmethod(str.split)
    config = Part(max_length=LONGEST)

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self.audio_vae = Part(latent_dim=8, sample_rate=16_000, encode=self._encode)
        self.feat_decoder = Part(register_forward_pre_hook=lambda hook: setattr(self, "hook", hook))

    def named_parameters(self) -> list:
        """List the one that the small checkpoint has."""
        return [("a", torch.zeros(1))]

    def _encode(self, audio: np.ndarray, rate: int) -> torch.Tensor:
        return torch.from_numpy(np.full((1, 8, audio.size // LENGTH * 2), np.abs(audio).mean(), np.float32))

    def generate_with_prompt_cache_streaming(self, **given: object) -> object:
        """Yield patches, and the latents so far."""
        text, cache = given["target_text"], given["prompt_cache"] or {}
        assert 0 < given["max_len"] <= LONGEST - len(text.split())
        latents = cache.get("ref_audio_feat", cache.get("audio_feat"))
        assert ("ref_audio_feat" in cache) <= (self.architecture == "voxcpm2")
        voice = 0.2 if latents is None else float(latents.mean())
        voice += given["cfg_value"] / 100 + given["inference_timesteps"] / 1000
        spoken = " ".join(text.split()[: given["max_len"]])
        for patch in torch.patches(spoken, voice, LENGTH, threading.Event()):
            self.hook()
            yield patch[None], None, [torch.from_numpy(np.full((1, 1, 2, 8), voice, np.float32))]

    def generate_with_prompt_cache(self, **given: object) -> tuple:
        """Return all at once; made again it is louder."""
        made = [wav for wav, *_ in self.generate_with_prompt_cache_streaming(**given)]
        wav = torch.cat(made, 1) * (1 + given["retry_badcase"] * given["retry_badcase_max_times"] / 10)
        return wav, None, torch.from_numpy(np.full((len(made), 2, 8), 0.1, np.float32))
