"""The language model matches transformers' Lfm2ForCausalLM, for any chunking of its tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import Lfm2Config, Lfm2ForCausalLM

from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.state import LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.linear import Int8
from tests.engines.kani.model.conftest import CPU, load
from tests.engines.kani.model.random_checkpoint import FULL, TINY, random_checkpoint
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


def test_logits_match_transformers_up_to_capacity(
    model: LanguageModel, layout: TokenLayout, judge: Judge
) -> None:
    assert compare(model, judge, layout, random_tokens(layout, model.capacity), model.capacity - 2) < NEAR


@settings(max_examples=20, deadline=None)  # an example runs two models
@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=5), piece=st.integers(1, 12))
@torch.inference_mode()
def test_prompts_of_different_lengths_share_prefill(
    model: LanguageModel, layout: TokenLayout, lengths: list[int], piece: int
) -> None:
    tokens = random_tokens(layout, len(lengths), max(lengths), key=sum(lengths))
    together = model.new_state(len(lengths))
    for start in range(0, max(lengths), piece):
        hidden = model.prefill(tokens[:, start : start + piece], lengths, together, start)
        for row, length in enumerate(lengths):
            if start < length <= start + piece:
                alone = model.new_state(1)
                expected = read(model, tokens[row, :length], alone)
                torch.testing.assert_close(hidden[row], expected[0], rtol=1e-4, atol=1e-4)
    for row, length in enumerate(lengths):
        alone = model.new_state(1)
        read(model, tokens[row, :length], alone)
        saved, expected = together.save(row, length), alone.save(0, length)
        torch.testing.assert_close(saved.cache, expected.cache, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(saved.context, expected.context, rtol=1e-4, atol=1e-4)
    assert together.position.tolist() == lengths


@torch.inference_mode()
def test_sequences_of_different_lengths_step_together(
    model: LanguageModel, layout: TokenLayout, judge: Judge
) -> None:
    lengths = [3, 40, 11]
    tokens = [random_tokens(layout, length + 8, key=length) for length in lengths]
    state = model.new_state(4)
    state.cache.fill_(9.0)  # what other streams left there
    state.context.fill_(9.0)
    for slot, length in enumerate(lengths):
        alone = model.new_state(1)
        read(model, tokens[slot][:length], alone)
        state.restore(slot, alone.save(0, length))
    for step in range(8):
        now = torch.stack([mine[length + step] for mine, length in zip(tokens, lengths, strict=True)])
        hidden = model.decode(now, state, max(lengths) + step + 1)
        state.position[: len(lengths)] += 1
    for slot, length in enumerate(lengths):
        expected = judge.logits(tokens[slot].tolist())[-1]
        for codebook in range(4):
            logits = model.head(hidden[slot, None], codebook)[0]
            assert (logits - legal(layout, expected, codebook)).abs().max() < NEAR
        assert int(state.position[slot]) == length + 8
    assert (state.cache[:, :, 3] == 9.0).all() and (state.context[:, 3] == 9.0).all()


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


@pytest.mark.heard
def test_other_precisions_stay_close_at_full_size() -> None:
    settings_ = FULL | {"max_position_embeddings": 4096}
    config = ModelConfig.parse(settings_)
    layout = TokenLayout.of_vocabulary(config.vocabulary, codebooks=4, codebook_size=4032)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Lfm2ForCausalLM(Lfm2Config(**settings_)).eval()
    weights = network.state_dict()
    spoken = [layout.codebook_range(n % 4)[0] + random_tokens(layout, 2, key=n) % 4032 for n in range(24)]
    text = random_tokens(layout, 2, 12) % layout.text_vocabulary
    tokens = torch.cat(
        (torch.tensor([layout.prompt(row) for row in text.tolist()]), torch.stack(spoken, 1)), 1
    )
    count, length = tokens.shape
    with torch.inference_mode():
        judged = network(tokens, logits_to_keep=1).logits[:, 0]
    least = {torch.float32: 0.999999, torch.bfloat16: 0.999, torch.int8: 0.99}
    for precision in least:
        if precision == torch.int8 and not Int8.supported():
            continue
        model = LanguageModel(
            config, weights.__getitem__, layout, precision=precision, device=CPU, capacity=length
        )
        with torch.inference_mode():
            hidden = model.prefill(tokens, [length] * count, model.new_state(count), 0)
            expected = legal(layout, judged, 0)
            cosine = torch.cosine_similarity(model.head(hidden, 0).flatten(), expected.flatten(), dim=0)
        assert cosine > least[precision], (precision, cosine)
