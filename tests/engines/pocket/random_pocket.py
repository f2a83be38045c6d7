"""Random checkpoints of Pocket TTS in the makers' file format, and transformers' models of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    PocketTTSAudioTokenizerConfig,
    PocketTTSAudioTokenizerModel,
    PocketTTSConfig,
    PocketTTSForConditionalGeneration,
)

from kani.engines.plugin import Resources
from kani.engines.pocket.transformer import HEAD_SIZE

FULL = (PocketTTSConfig(), PocketTTSAudioTokenizerConfig())
"""The published sizes."""

TEXT_TOKENS = 4000
_LETTERS = "▁.!?,;:…abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüßéèñ"


def tiny_configs() -> tuple[PocketTTSConfig, PocketTTSAudioTokenizerConfig]:
    """Two layers of two heads, a small flow head and a narrow codec with the published rates."""
    speech = PocketTTSConfig(
        hidden_size=2 * HEAD_SIZE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=192,
        flow_head_config={
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "condition_dim": 2 * HEAD_SIZE,
            "frequency_embedding_size": 256,  # as the makers' package, which has no other
        },
    )
    codec = PocketTTSAudioTokenizerConfig(
        hidden_size=2 * HEAD_SIZE,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=192,
        num_filters=4,
        upsample_groups=2 * HEAD_SIZE,
    )
    return speech, codec


@dataclass(frozen=True, slots=True)
class Reference:
    """Transformers' own models."""

    speech: PocketTTSForConditionalGeneration
    codec: PocketTTSAudioTokenizerModel


def random_reference(
    configs: tuple[PocketTTSConfig, PocketTTSAudioTokenizerConfig], *, seed: int = 0, end_bias: float = 2.2
) -> Reference:
    """Build transformers' models with random weights, under which speech ends after some frames.

    end_bias: of the head that ends it; the tiny model ends most texts after 10 to 24 frames with −7.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        speech, codec = (
            PocketTTSForConditionalGeneration(configs[0]),
            PocketTTSAudioTokenizerModel(configs[1]),
        )
        for model in (speech, codec):
            for name, weight in model.named_parameters():
                if "norm" in name and weight.dim() == 1:
                    weight.data.uniform_(0.5, 1.5)
                elif "scale" in name:
                    weight.data.uniform_(0.1, 0.4)
                elif weight.dim() > 1:
                    weight.data.normal_(0, weight[0].numel() ** -0.5)
                else:
                    weight.data.normal_(0, 0.05)
        speech.latent_std.uniform_(0.5, 1.5)
        speech.latent_mean.normal_(0, 0.2)
        speech.eos_head.weight.data.mul_(3.0)
        speech.eos_head.bias.data.fill_(end_bias)
    return Reference(speech.eval(), codec.eval())


def write(
    folder: Path, reference: Reference, name: str = "german", voices: Mapping[str, Tensor] | None = None
) -> Path:
    """Write ``folder/languages/NAME/`` as the makers publish it; returns ``folder``.

    voices: latents [frames, latent size] of their recordings, by name.
    """
    own = folder / "languages" / name
    (own / "embeddings").mkdir(parents=True)
    save_file(published_weights(reference), own / "model.safetensors")
    write_tokenizer(own / "tokenizer.json")
    for voice, latents in (voices or {"juergen": torch.ones(5, reference.speech.config.latent_dim)}).items():
        save_file(published_voice(reference.speech, latents), own / "embeddings" / f"{voice}.safetensors")
    return folder


def write_tokenizer(path: Path) -> None:
    """Write a tokenizer of single letters with as many tokens as the makers'."""
    pieces = [("<unk>", 0.0)] + [(letter, -5.0) for letter in _LETTERS]
    pieces += [(f"<{number}>", -20.0) for number in range(TEXT_TOKENS - len(pieces))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.save(str(path))


def published_weights(reference: Reference) -> dict[str, Tensor]:
    """The weights under the makers' names and in their order of a head's elements."""
    found = dict(reference.speech.state_dict())
    speech, heads = reference.speech.config, reference.speech.config.num_attention_heads
    embeddings = found["model.embed_tokens.weight"]
    weights = {
        "conditioner.embed.weight": embeddings[: TEXT_TOKENS + 1],
        "bos_before_voice": embeddings[speech.audio_prompt_bos_token_id][None, None],
        "bos_emb": found["model.bos_latent"],
        "speaker_proj_weight": found["model.audio_prompt_proj.weight"],
        "input_linear.weight": found["model.audio_latent_proj.weight"],
        "emb_std": found["latent_std"],
        "emb_mean": found["latent_mean"],
    }
    for part in ("weight", "bias"):
        weights[f"out_norm.{part}"] = found[f"model.norm.{part}"]
        weights[f"out_eos.{part}"] = found[f"eos_head.{part}"]
    weights |= _flow(found)
    for index in range(speech.num_hidden_layers):
        weights |= _layer(found, f"model.layers.{index}", f"transformer.layers.{index}", heads)
    codec = _codec(reference.codec)
    named = {f"flow_lm.{key}": value for key, value in weights.items()}
    named |= {f"mimi.{key}": value for key, value in codec.items()}
    return {key: value.detach().clone().contiguous() for key, value in named.items()}


def published_voice(model: PocketTTSForConditionalGeneration, latents: Tensor) -> dict[str, Tensor]:
    """Keys and values that transformers computes for a voice, as the makers publish them."""
    config = model.config
    ids = [config.audio_prompt_bos_token_id] + [config.audio_prompt_token_id] * len(latents)
    with torch.inference_mode():
        cache = model.model(
            input_ids=torch.tensor([ids]), audio_prompt_latents=latents[None], use_cache=True
        ).past_key_values
    found = {}
    for index, layer in enumerate(cache.layers):
        keys = layer.keys[0].transpose(0, 1)  # [positions, heads, head size]
        pairs = keys.reshape(*keys.shape[:2], 2, -1).transpose(2, 3).reshape(keys.shape)
        both = torch.stack((pairs, layer.values[0].transpose(0, 1)))[:, None]
        # Room for two more positions, as the makers' files may have.
        both = torch.nn.functional.pad(both, (0, 0, 0, 0, 0, 2), value=float("nan"))
        prefix = f"transformer.layers.{index}.self_attn"
        found[f"{prefix}/cache"] = both.clone().contiguous()
        found[f"{prefix}/offset"] = torch.tensor([len(ids)])
    return found


def rewrite(path: Path, changed: Mapping[str, Tensor | None]) -> None:
    """Replace tensors of a file, or remove those that are None."""
    kept = load_file(path) | dict(changed)
    save_file({key: value for key, value in kept.items() if value is not None}, path)


def _flow(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = {
        "input_proj": "input_proj",
        "cond_proj": "cond_embed",
        "timestep_embeddings": "time_embed",
        "layers": "res_blocks",
        "final_layer": "final_layer",
    }
    weights = {}
    for key, value in found.items():
        head, _, rest = key.partition(".")
        if head != "flow_head":
            continue
        first, _, rest = rest.partition(".")
        for ours, theirs in (("adaln_proj", "adaLN_modulation.1"), ("fc1", "mlp.0"), ("fc2", "mlp.2")):
            rest = rest.replace(ours, theirs)
        if first == "timestep_embeddings":
            rest = rest.replace("norm.weight", "mlp.3.alpha")
        elif first == "layers":
            rest = rest.replace("norm.", "in_ln.")
        elif first == "final_layer":
            rest = rest.replace("proj.", "linear.") if rest.startswith("proj.") else rest
        weights[f"flow_net.{names[first]}.{rest}"] = value
    return weights


def _layer(found: Mapping[str, Tensor], theirs: str, ours: str, heads: int) -> dict[str, Tensor]:
    def projection(name: str) -> Tensor:
        return found[f"{theirs}.self_attn.{name}_proj.weight"]

    joined = torch.cat((_pairs(projection("q"), heads), _pairs(projection("k"), heads), projection("v")))
    weights = {
        f"{ours}.self_attn.in_proj.weight": joined,
        f"{ours}.self_attn.out_proj.weight": projection("o"),
        f"{ours}.linear1.weight": found[f"{theirs}.mlp.fc1.weight"],
        f"{ours}.linear2.weight": found[f"{theirs}.mlp.fc2.weight"],
    }
    for part in ("weight", "bias"):
        weights[f"{ours}.norm1.{part}"] = found[f"{theirs}.input_layernorm.{part}"]
        weights[f"{ours}.norm2.{part}"] = found[f"{theirs}.post_attention_layernorm.{part}"]
    for index, name in enumerate(("self_attn_layer_scale", "mlp_layer_scale")):
        if f"{theirs}.{name}.scale" in found:
            weights[f"{ours}.layer_scale_{index + 1}.scale"] = found[f"{theirs}.{name}.scale"]
    return weights


def _pairs(weight: Tensor, heads: int) -> Tensor:
    """Reorder a head's elements from halves, as transformers has them, to pairs."""
    return weight.view(heads, 2, HEAD_SIZE // 2, -1).transpose(1, 2).reshape(weight.shape)


def _codec(codec: PocketTTSAudioTokenizerModel) -> dict[str, Tensor]:
    found = dict(codec.state_dict())
    weights = {
        "quantizer.output_proj.weight": found["latent_proj.weight"],
        "upsample.convtr.convtr.weight": found["decoder.upsample.conv.weight"],
        "downsample.conv.conv.weight": found["encoder.downsample.conv.weight"],
    }
    for half in ("encoder", "decoder"):
        prefix = f"{half}.{half}_seanet.layers."
        for key, value in found.items():
            if not key.startswith(prefix):
                continue
            rest = key.removeprefix(prefix)
            if half == "decoder" and rest.split(".")[0] in ("2", "5", "8"):
                rest = rest.replace(".conv.", ".convtr.")
            weights[f"{half}.model.{rest}"] = value
        for index in range(codec.config.num_hidden_layers):
            layer = f"{half}_transformer.layers.{index}"
            ours = f"{half}_transformer.transformer.layers.{index}"
            weights |= _layer(found, f"{half}.{layer}", ours, codec.config.num_attention_heads)
    return weights


def resources(cache_dir: Path) -> Resources:
    """What the server gives the engine: nothing is fetched."""
    return Resources(cache_dir, device="cpu")
