"""Makes tiny random checkpoints of VoxCPM, and speaks with its makers' package.

Runs in the judges' environment: ``voxcpm_judge.py FOLDER JOBS``. JOBS is a JSON object of calls by name,
each with ``architecture``, ``seed``, ``streaming``, and the arguments of the package's ``generate``; ``text``
may be a list of two; the second continues the first. The checkpoints are FOLDER/voxcpm and
FOLDER/voxcpm2, the samples of each call FOLDER/NAME.npy.
"""

import json
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from voxcpm import VoxCPM
from voxcpm.model.voxcpm import VoxCPMConfig, VoxCPMModel
from voxcpm.model.voxcpm2 import VoxCPM2Model
from voxcpm.model.voxcpm2 import VoxCPMConfig as VoxCPM2Config
from voxcpm.modules.audiovae import AudioVAE, AudioVAEV2

HEAD, HIDDEN, LETTERS = 16, 64, "".join(map(chr, range(32, 127))) + "áéíóúñ¿¡ß"


def configuration(architecture: str) -> dict:
    """The true architecture with few and narrow layers, and the published models' patches of 80 or 160 ms."""
    second = architecture == "voxcpm2"
    local = {"hidden_dim": 32, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "kv_channels": HEAD}
    codec = {"encoder_dim": 4, "latent_dim": 8, "decoder_dim": 64, "sample_rate": 16_000}
    if second:
        codec |= {"out_sample_rate": 48_000, "cond_dim": 8}
    lm_config = {
        "bos_token_id": 1, "eos_token_id": 2, "hidden_size": HIDDEN, "intermediate_size": 96,
        "max_position_embeddings": 512, "num_attention_heads": HIDDEN // HEAD, "num_hidden_layers": 2,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": 320, "scale_emb": 12,
        "dim_model_base": 32, "scale_depth": 1.4, "rope_theta": 10_000.0,
        "rope_scaling": {
            "type": "longrope", "long_factor": [1.0] * (HEAD // 2), "short_factor": [1.0] * (HEAD // 2),
            "original_max_position_embeddings": 512,
        },
    }  # fmt: skip
    return {
        "architecture": architecture, "lm_config": lm_config, "encoder_config": local,
        "dit_config": local | {"cfm_config": {}}, "audio_vae_config": codec,
        "patch_size": 4 if second else 2, "feat_dim": 8, "residual_lm_num_layers": 1,
        "scalar_quantization_latent_dim": 16, "max_length": 512, "device": "cpu", "dtype": "float32",
    }  # fmt: skip


def make(folder: Path, architecture: str) -> None:
    """Write a checkpoint with noise of a random length as its speech."""
    torch.manual_seed(7)
    config = configuration(architecture)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    tokens = {f"<{number}>": number for number in range(199)} | {"▁": 199}
    tokens |= {letter: 200 + number for number, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.BPE(tokens, [], unk_token="<0>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<0>", bos_token="<1>", eos_token="<2>", add_bos_token=False
    ).save_pretrained(folder)
    if architecture == "voxcpm2":
        config_class, model_class, codec_class = VoxCPM2Config, VoxCPM2Model, AudioVAEV2
    else:
        config_class, model_class, codec_class = VoxCPMConfig, VoxCPMModel, AudioVAE
    parsed = config_class.model_validate(config)
    model, codec = model_class(parsed, _NoTokens(), codec_class(parsed.audio_vae_config)), "audio_vae."
    state = {name: weight.contiguous().clone() for name, weight in model.state_dict().items()}
    own = {name.removeprefix(codec): state.pop(name) for name in [*state] if name.startswith(codec)}
    save_file(state, folder / "model.safetensors")
    torch.save({"state_dict": own}, folder / "audiovae.pth")


class _NoTokens:
    """A tokenizer that is not asked."""

    vocab: ClassVar[dict[str, int]] = {}


def speak(package: VoxCPM, job: dict, seed: int, *, streaming: bool) -> np.ndarray:
    torch.manual_seed(seed)
    if isinstance(job["text"], list):
        return continued(package, job["text"], seed)
    return np.concatenate(list(package.generate_streaming(**job))) if streaming else package.generate(**job)


def continued(package: VoxCPM, texts: list[str], seed: int) -> np.ndarray:
    """Speak the second text in the voice of the first one, which becomes its prompt."""
    model, (first, second) = package.tts_model, texts
    steps = model.generate_with_prompt_cache_streaming(target_text=first, prompt_cache=None)
    latents = torch.cat([made[-1].squeeze(0) for _, _, made in steps])
    cache = {"mode": "continuation", "prompt_text": f"{first} ", "audio_feat": latents}
    torch.manual_seed(seed)
    steps = model.generate_with_prompt_cache_streaming(target_text=second, prompt_cache=cache)
    return np.concatenate([wav.squeeze(0).numpy() for wav, _, _ in steps])


def main(folder: Path, jobs: Path) -> None:
    """Make both checkpoints, and speak all jobs."""
    packages = {}
    for architecture in ("voxcpm", "voxcpm2"):
        (folder / architecture).mkdir()
        make(folder / architecture, architecture)
        packages[architecture] = VoxCPM(
            str(folder / architecture), enable_denoiser=False, optimize=False, device="cpu"
        )
    for name, job in json.loads(jobs.read_text("utf-8")).items():
        package, seed, streaming = (job.pop(key) for key in ("architecture", "seed", "streaming"))
        np.save(folder / f"{name}.npy", speak(packages[package], job, seed, streaming=streaming))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
