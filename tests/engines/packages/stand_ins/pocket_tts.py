"""Stands for pocket-tts 4.0.1: a voice is how loud it is, as are the latents of a recording."""

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace as Part

import numpy as np
import torch

FRAME, SIZE = 1_920, 32


class TTSModel:
    """The package's entry; the flow is the model's, too."""

    sample_rate, temp, insert_bos_before_voice = 24_000, 0.3, False

    def __init__(self, values: dict) -> None:
        self.config = Part(mimi=Part(quantizer=Part(dimension=SIZE)))
        self.flow_lm, self.speaker_proj_weight = self, torch.from_numpy(np.eye(SIZE))
        weight = torch.from_numpy(np.ones(3))
        self.mimi = Part(downsample=Part(conv=Part(conv=Part(weight=weight))), encode_to_latent=encode)

    @classmethod
    def load_model(cls, config: Path) -> "TTSModel":
        return cls(json.loads(config.read_text()))

    def named_parameters(self) -> list:
        return []

    def get_state_for_audio_prompt(self, path: Path) -> dict:
        return {"flow": {"cache": np.full((1, 1, 1, 2), 0.2), "offset": np.zeros(1)}}

    def generate_audio_stream(self, state: dict, text: str, stop: threading.Event) -> object:
        """Yield frames. Raises ValueError as the package does."""
        words = "".join(letter for letter in text if letter.isalnum() or letter.isspace())
        if not words.strip():
            raise ValueError("Text prompt cannot be empty")
        yield from torch.patches(words, state["flow"]["cache"].flat[0] + self.temp / 10, FRAME, stop)

    def _run_flow_lm_and_increment_step(self, model_state: dict, audio_conditioning: np.ndarray) -> None:
        model_state["flow"]["cache"][:] = audio_conditioning.mean()


def init_states(flow: TTSModel, batch_size: int, sequence_length: int) -> dict:
    """Return a state without a voice."""
    return flow.get_state_for_audio_prompt(Path())


def encode(audio: np.ndarray) -> torch.Tensor:
    """Return latents [1, frames, SIZE] of audio [1, 1, samples]."""
    return torch.from_numpy(np.full((1, -(-audio.size // FRAME), SIZE), np.abs(audio).mean(), np.float32))


class _Config(Part):
    def model_dump_json(self) -> str:
        return json.dumps({"weights_path": self.weights_path})


MODULES = {
    "quantization": {"RECOMMENDED_CONFIG": None, "apply_dynamic_int8": lambda flow, config: None},
    "utils.config": {
        "CONFIGS_DIR": Path(),
        "load_config": lambda path: _Config(flow_lm=Part(lookup_table=Part())),
    },
    "modules.stateful_module": {"init_states": init_states},
    "data.audio_utils": {"end_on_pause": lambda audio, rate: audio},
}
sys.modules |= {f"pocket_tts.{name}": Part(**members) for name, members in MODULES.items()}
