"""Logits, and codes sampled of them, are those of transformers; and the guard of the output."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.output_guard import Anomaly, OutputGuard, last_audible
from kani.engines.kani.model.runner import Samples
from kani.engines.kani.model.sampler import MAX_CANDIDATES, SamplerState, Sampling
from kani.engines.kani.model.tokens import END_OF_TEXT, START_OF_TEXT, TokenLayout
from kani.runtime.errors import CheckpointError
from kani.runtime.silence_trim import AUDIBLE
from tests.engines.kani.conftest import load
from tests.engines.kani.model.random_checkpoint import TINY, random_checkpoint
from tests.judges.lfm2_judge import Judge


def test_tokens_are_those_of_the_vocabulary() -> None:
    layout = TokenLayout.of_vocabulary(80538, codebooks=4, codebook_size=4032)
    assert (layout.text_vocabulary, layout.size) == (64400, 80538)
    assert (layout.start_of_speech, layout.end_of_speech) == (64401, 64402)
    starts = (64410, 68442, 72474, 76506)
    assert [layout.codebook_range(codebook) for codebook in range(4)] == [(at, at + 4032) for at in starts]
    layout = TokenLayout(100, 4, 10)
    assert layout.prompt([START_OF_TEXT, 50, 60]) == [103, 1, 50, 60, END_OF_TEXT, 104, 105, 101]
    for few in (-1, 0, 4 * 4032, 4 * 4032 + 12):
        with pytest.raises(CheckpointError, match=rf"vocab_size is {few}: too small for 4 codebooks of 4032"):
            TokenLayout.of_vocabulary(few, codebooks=4, codebook_size=4032)


CODES = 300
LAYOUT = TokenLayout(20, 2, CODES)
GRID = 1500

samplings = st.builds(
    Sampling,
    temperature=st.floats(0.05, 3.0),
    top_p=st.floats(0.01, 1.0),
    top_k=st.integers(1, MAX_CANDIDATES),
    repetition_penalty=st.floats(1.0, 2.0),
    seed=st.integers(0, 2**63 - 1),
)


def state(slots: int, frames: int = 8, sampling: Sampling | None = None) -> SamplerState:
    made = SamplerState(LAYOUT, slots=slots, frames=frames, device=torch.device("cpu"))
    for slot in range(slots) if sampling else ():
        made.reset(slot, sampling)
    return made


def random(*shape: int, key: int = 0, level: float = 3.0) -> Tensor:
    return level * torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def transformers_probabilities(logits: Tensor, said: list[int], sampling: Sampling) -> Tensor:
    scores = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(torch.tensor([said]), logits[None])
    scores = TemperatureLogitsWarper(sampling.temperature)(None, scores)
    scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    return scores.softmax(-1)[0]


def frequencies(sampler: SamplerState, logits: Tensor, codebook: int) -> Tensor:
    """Frequency of each code as the uniform number goes from 0 to 1 in as many steps as slots."""
    slots = len(sampler.uniforms)
    sampler.uniforms[:, :, :] = ((torch.arange(slots) + 0.5) / slots)[:, None, None]
    drawn = sampler.draw(logits.expand(slots, -1).contiguous(), codebook)
    return torch.bincount(drawn, minlength=logits.shape[-1]) / slots


@settings(max_examples=40)  # an example fills ``GRID`` slots
@given(sampling=samplings, codebook=st.integers(0, 1), key=st.integers(0, 1000), data=st.data())
def test_chances_match_transformers(sampling: Sampling, codebook: int, key: int, data: st.DataObject) -> None:
    logits = random(CODES + (codebook == 0), key=key)
    likely = logits.topk(10).indices.tolist()
    said = data.draw(st.lists(st.sampled_from(likely), max_size=5))
    sampler = state(GRID, sampling=sampling)
    for code in said:
        sampler.drawn[:, codebook, code] = True
    expected = transformers_probabilities(logits, said, sampling)
    assert (frequencies(sampler, logits, codebook) - expected).abs().max() <= 1.01 / GRID


@pytest.mark.parametrize("top_k", [0, MAX_CANDIDATES + 1, 10**9])
def test_top_k_is_capped(top_k: int) -> None:
    logits = random(CODES, level=0.1)
    sampler = state(GRID, sampling=Sampling(1.0, 1.0, top_k, 1.0))
    expected = transformers_probabilities(logits, [0], Sampling(1.0, 1.0, MAX_CANDIDATES, 1.0))
    assert (expected > 0).sum() == MAX_CANDIDATES
    assert (frequencies(sampler, logits, 1) - expected).abs().max() <= 1.01 / GRID


def test_seeded_draws_fill_distribution_whatever_the_capacity() -> None:
    short, long = (state(1, frames, Sampling(seed=2**63 - 1)) for frames in (8, 999))
    assert torch.equal(short.uniforms[0], long.uniforms[0, :8])
    assert short.uniforms.min() >= 0 and short.uniforms.max() < 1
    logits = random(CODES, level=1.0)
    sampling = Sampling(1.0, 0.9, 20, 1.0)
    slots, frames = 400, 25
    sampler = state(slots, frames)
    for slot in range(slots):
        sampler.reset(slot, replace(sampling, seed=slot))
    counts = torch.zeros(CODES)
    for _ in range(frames):
        for codebook in range(2):
            drawn = sampler.draw(logits.expand(slots, -1).contiguous(), codebook)
            counts += torch.bincount(drawn, minlength=CODES)
        sampler.frame += 1
    expected = transformers_probabilities(logits, [0], sampling) * counts.sum()
    allowed = expected > 0
    assert counts[~allowed].sum() == 0
    freedom = int(allowed.sum()) - 1
    chi_square = float(((counts - expected)[allowed] ** 2 / expected[allowed]).sum())
    assert freedom > 10
    # Five standard deviations, by Wilson and Hilferty.
    assert chi_square < freedom * (1 - 2 / (9 * freedom) + 5 * math.sqrt(2 / (9 * freedom))) ** 3


@given(own=samplings, others=st.lists(samplings, max_size=4), place=st.integers(0, 4), key=st.integers(0, 99))
def test_draws_depend_on_no_neighbours(own: Sampling, others: list[Sampling], place: int, key: int) -> None:
    place = min(place, len(others))
    logits = random(6, 2, CODES, key=key)

    def say(sampler: SamplerState, slot: int, count: int) -> list[int]:
        said, neighbours = [], random(count, 6, 2, CODES, key=key + 1)
        sampler.reset(slot, own)
        for frame in range(6):
            if count > 1 and frame == 3:
                saved = [view.clone() for view in sampler.views(slot)]
                sampler.reset(slot, Sampling(seed=5))
                for view, kept in zip(sampler.views(slot), saved, strict=True):
                    view.copy_(kept)
            for codebook in range(2):
                rows = neighbours[:, frame, codebook].clone()
                rows[slot] = logits[frame, codebook]
                said.append(int(sampler.draw(rows, codebook)[slot]))
            sampler.frame[:count] += 1
        return said

    batch = state(len(others) + 2)
    for slot, sampling in enumerate([*others[:place], own, *others[place:]]):
        batch.reset(slot, sampling)
    # Whatever was in the slot before.
    batch.drawn[place] = True
    assert say(batch, place, len(others) + 1) == say(state(1), 0, 1)


@given(
    samplings,
    st.sampled_from([0.0, 1.0 - 2**-24]),
    st.sampled_from(["equal", "one", "huge", "not a number", "infinite"]),
)
def test_draw_is_always_valid_code(sampling: Sampling, uniform: float, kind: str) -> None:
    logits = {
        "equal": torch.zeros(CODES),
        "one": torch.full((CODES,), -torch.inf).index_fill_(0, torch.tensor(CODES - 1), 0.0),
        "huge": random(CODES, level=1e30),
        "not a number": torch.full((CODES,), torch.nan),
        "infinite": torch.full((CODES,), torch.inf),
    }[kind]
    sampler = state(1, sampling=sampling)
    sampler.uniforms[:] = uniform
    code = int(sampler.draw(logits[None], 1)[0])
    assert 0 <= code < CODES
    assert logits[code] != -torch.inf


WRONG = {
    "temperature": (-0.1, math.inf, math.nan),
    "top_p": (0.0, 1.1),
    "top_k": (-1,),
    "repetition_penalty": (0.9, math.nan),
    "seed": (-1, 2**63),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in WRONG.items() for value in bad])
def test_invalid_sampling_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="nothing can be drawn by"):
        Sampling(**{name: value})  # type: ignore[arg-type]


FRAME_S = 0.08
RATE = 1000


def noise(seconds: float, level: float) -> np.ndarray:
    """A square wave of that peak."""
    return np.where(np.arange(round(seconds * RATE)) % 2, level, -level).astype(np.float32)


def watching(expected_s: float, codebooks: int = 4) -> OutputGuard:
    """A guard of a voice in seat 1, beside one that gets other frames."""
    guard = OutputGuard(codebooks, frame_s=FRAME_S, sample_rate=RATE)
    for seat in (0, 1):
        guard.begin(seat, expected_s if seat else 1000.0)
    return guard


SEATS = np.arange(2)


def add_frame(guard: OutputGuard, number: int, frame: list[int]) -> Anomaly | None:
    """The voice's ``number``-th frame; the other voice's are equal to none before."""
    frames = np.array([[number] * len(frame), frame])
    other, found = guard.check_frames(SEATS, np.array([number, number]), frames)
    assert not other
    return Anomaly(found) if found else None


@pytest.mark.parametrize(("expected_s", "frames"), [(0.0, 25), (1.0, 62), (4.0, 175)])
def test_runaway_is_three_times_prediction_plus_two_seconds(expected_s: float, frames: int) -> None:
    watch = watching(expected_s)
    for number in range(frames):
        assert add_frame(watch, number, [number, 0, 0, 0]) is None
    assert add_frame(watch, frames, [frames, 0, 0, 0]) is Anomaly.RUNAWAY


@pytest.mark.parametrize("period", range(1, 11))
@pytest.mark.parametrize("first", [0, 100])
def test_loops_of_up_to_ten_frames_are_detected(period: int, first: int) -> None:
    watch = watching(1000.0, 2)
    for number in range(7):
        assert add_frame(watch, number, [first, 100 + number]) is None
    until = period + max(4 * period, 30)
    for number in range(until - 1):
        assert add_frame(watch, 7 + number, [first, number % period]) is None
    assert add_frame(watch, 7 + until - 1, [first, (until - 1) % period]) is Anomaly.LOOP


def test_silence_and_speech_without_voice_are_silence() -> None:
    watch = watching(10.0)

    def hear(*parts: Samples) -> bool:
        samples = np.concatenate(parts)[None]
        sounding = last_audible(np.concatenate((samples, noise(samples.shape[1] / RATE, 1.0)[None])))
        watch.hear(SEATS[::-1], sounding, samples.shape[1])
        other, silent = watch.silent(SEATS)
        assert not other
        return bool(silent)

    assert not hear(noise(0.5, 0.1), noise(1.0, 0.0))
    assert not hear(noise(2.0, AUDIBLE / 2))
    assert hear(noise(0.001, AUDIBLE / 2))
    assert not hear(noise(0.001, AUDIBLE))
    assert not hear(noise(3.0, 0.0))
    watch = watching(10.0)
    assert not hear(noise(0.5, 0.9 * AUDIBLE))
    assert not watch.audible(SEATS[1:])
    hear(noise(0.01, -0.5))
    assert watch.audible(SEATS[1:])


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
def compare(model: LanguageModel, judge: Judge, layout: TokenLayout, tokens: Tensor, begun: int) -> float:
    """Prefill the tokens that begin and decode the others; returns the largest difference of any logit."""
    judged, state = judge.logits(tokens.tolist()), model.new_state(1)
    hidden = model.prefill(tokens[None, :begun], [begun], state, 0)
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


@torch.inference_mode()
def test_bfloat16_stays_close(checkpoint: Checkpoint, layout: TokenLayout, judge: Judge) -> None:
    model = load(checkpoint, layout, torch.bfloat16)
    tokens = random_tokens(layout, 30)
    hidden = model.prefill(tokens[None], [len(tokens)], model.new_state(1), 0)
    expected = legal(layout, judge.logits(tokens.tolist())[-1], 0)
    cosine = torch.cosine_similarity(model.head(hidden, 0)[0], expected, dim=0)
    assert 0.999 < cosine < 1
