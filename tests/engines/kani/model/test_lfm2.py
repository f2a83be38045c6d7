"""The language model matches transformers' Lfm2ForCausalLM, for any chunking of its tokens."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.state import LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.linear import Int8
from tests.engines.kani.model.conftest import load
from tests.engines.kani.model.random_checkpoint import TINY, random_checkpoint
from tests.judges.lfm2_judge import Judge

NEAR = 2e-4
"""Error of logits with a standard deviation of about 1; the two likeliest are some 0.1 apart."""

SHAPES: dict[str, dict[str, object]] = {
    "kernel 4": {"conv_L_cache": 4},
    "kernel 2": {"conv_L_cache": 2},
    "wide heads": {"head_dim": 32},
    "a head for each key": {"num_key_value_heads": 4},
    "one key for all heads": {"num_key_value_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "attention first and last": {"full_attn_idxs": [0, 4]},
    "convolution alone": {"full_attn_idxs": []},
    "attention alone": {"full_attn_idxs": [0, 1, 2, 3, 4]},
    "plain feed-forward": {"block_auto_adjust_ff_dim": False},
    "feed-forward by a factor": {"block_ffn_dim_multiplier": 1.7},
    "other turns": {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}},
    "large epsilon": {"norm_eps": 0.1},
}


def random_tokens(layout: TokenLayout, *shape: int, key: int = 0) -> Tensor:
    return torch.randint(0, layout.size, shape, generator=torch.Generator().manual_seed(key))


def legal(layout: TokenLayout, logits: Tensor, codebook: int) -> Tensor:
    """Transformers' logits of the tokens that the model's head covers."""
    start, end = layout.codebook_range(codebook)
    ends = [logits[..., layout.end_of_speech, None]] if codebook == 0 else []
    return torch.cat([logits[..., start:end], *ends], -1)


@torch.inference_mode()
def read(model: LanguageModel, tokens: Tensor, state: LanguageState) -> Tensor:
    """Prefill slot 0; returns the last row."""
    return model.prefill(tokens[None], [len(tokens)], state, 0)


@torch.inference_mode()
def compare(model: LanguageModel, judge: Judge, layout: TokenLayout, tokens: Tensor, begun: int) -> float:
    """Prefill the tokens that begin and decode the others; returns the largest difference of any logit."""
    judged, state = judge.logits(tokens.tolist()), model.new_state(1)
    hidden = read(model, tokens[:begun], state)
    worst = 0.0
    for at in range(begun, len(tokens) + 1):
        codebook = at % layout.codebooks
        expected = legal(layout, judged[at - 1], codebook)
        worst = max(worst, float((model.head(hidden, codebook)[0] - expected).abs().max()))
        if at < len(tokens):
            hidden = model.decode(tokens[at, None], state, at + 1)
            state.position += 1
    return worst


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_match_transformers_for_other_shapes(tmp_path: Path, shape: str) -> None:
    random_checkpoint(tmp_path, TINY | SHAPES[shape], seed=3)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.check_shapes()
    layout = checkpoint.layout(codebooks=4, codebook_size=4032)
    tokens = random_tokens(layout, 24)
    model, judge = load(checkpoint, layout, torch.float32), Judge(tmp_path, layout)
    assert compare(model, judge, layout, tokens, 12) < NEAR


@pytest.mark.parametrize(("precision", "least"), [(torch.bfloat16, 0.999), (torch.int8, 0.99)], ids=str)
@torch.inference_mode()
def test_other_precisions_stay_close(
    checkpoint: Checkpoint, layout: TokenLayout, judge: Judge, precision: torch.dtype, least: float
) -> None:
    if precision == torch.int8 and not Int8.supported():
        pytest.skip("this build of torch has no fbgemm")
    model = load(checkpoint, layout, precision)
    tokens = random_tokens(layout, 30)
    hidden = read(model, tokens, model.new_state(1))
    expected = legal(layout, judge.logits(tokens.tolist())[-1], 0)
    cosine = torch.cosine_similarity(model.head(hidden, 0)[0], expected, dim=0)
    assert least < cosine < 1
