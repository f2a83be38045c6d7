"""Slots over one model, of either generation: any schedule gives each sequence the codes of its solo run."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import torch

from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.rope import RotaryEmbedding
from kani.engines.kani.model.runner import Runner
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.sequence import Utterance
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.errors import OutOfMemory
from tests.engines.kani.conftest import (
    CPU,
    LONGEST_FRAMES,
    LONGEST_PROMPT,
    Frames,
    NewRunner,
    Prompt,
    admit,
    load,
    run_alone,
)
from tests.engines.kani.model.random_checkpoint import TINY, random_kani_tts_2
from tests.judges import makers
from tests.judges.lfm2_judge import Judge

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
PENALISED = Sampling(temperature=0.0, repetition_penalty=1.1)
SAMPLED = Sampling(seed=7)


@pytest.mark.parametrize("sampling", [GREEDY, PENALISED], ids=["plain", "repetition_penalty 1.1"])
def test_greedy_codes_match(
    new_runner: NewRunner, prompts: list[Prompt], judge: Judge, sampling: Sampling
) -> None:
    runner, ended = new_runner(1), 0
    for prompt in prompts:
        said = run_alone(runner, prompt, sampling, 12)
        assert judge.agrees(prompt, said, sampling.repetition_penalty)
        ended += said[-1][0] == 4032
    said[1][2] = (said[1][2] + 1) % 4032
    assert not judge.agrees(prompts[-1], said, sampling.repetition_penalty)
    assert 0 < ended < len(prompts)


def test_longest_prompt_matches_judge(new_runner: NewRunner, prompts: list[Prompt], judge: Judge) -> None:
    runner = new_runner(2)
    longest = max(prompts, key=len)
    admit(runner, 0, longest, PENALISED)
    admit(runner, 1, prompts[0], PENALISED)
    said = run(runner, 2, LONGEST_FRAMES)[0]
    end = next((n for n, frame in enumerate(said) if frame[0] == 4032), len(said))
    assert end > 15
    assert judge.agrees(longest, said[: end + 1], 1.1)


def run(runner: Runner, count: int, frames: int) -> list[Frames]:
    spoken: list[Frames] = [[] for _ in range(count)]
    for _ in range(frames):
        for mine, frame in zip(spoken, runner.sample(count).tolist(), strict=True):
            mine.append(frame)
        runner.advance(count)
    return spoken


def test_warm_up_leaves_no_state_and_large_slots_fail(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    warm = new_runner(2)
    warm.warm_up(lambda line: None)
    assert run_alone(warm, prompts[1], SAMPLED, 5) == run_alone(new_runner(2), prompts[1], SAMPLED, 5)
    message = (
        r"1000000000 slots need \d+\.\d GiB of \d+\.\d GiB that are free: at most KANI_MAX_CONCURRENT=(\d+)"
    )
    with pytest.raises(OutOfMemory, match=message):
        new_runner(10**9)


def test_step_waits_for_no_value(checkpoint: Checkpoint, layout: TokenLayout, codec_file: Path) -> None:
    # Tensors of this device have no values: reading one fails, as on a GPU it waits.
    meta = torch.device("meta")
    network = load(checkpoint, layout, torch.bfloat16, meta)
    codec = NanoCodec.load(codec_file, device=meta, precision=torch.bfloat16)
    runner = Runner(network, codec, slots=4, max_prompt_tokens=48, max_frames=60, whole_frames=True)
    with torch.inference_mode():
        prefill = runner.start_prefill([[1, 2, 3], [1, 2, 3, 4]])
        runner.prefill_chunk(prefill, 48)
        for row in range(2):
            runner.admit(row, prefill, row, SAMPLED)
        runner._make_frame(4, 64)
        runner._decode_frame(4)
        saved = runner.save(0)
        runner.release(0, 2)
        runner.restore(1, saved)
    with pytest.raises(NotImplementedError, match="meta"):
        runner.sample(1)


def test_slot_bytes_match_allocated_tensors(new_runner: NewRunner) -> None:
    def allocated(runner: Runner) -> int:
        tensors = [runner._language.cache, runner._language.context, runner._audio]
        drawn = runner.slots * sum(view.nbytes for view in runner._sampler.views(0))
        return drawn + sum(tensor.nbytes for tensor in tensors)

    more, fewer = new_runner(9), new_runner(1)
    each = (allocated(more) - allocated(fewer)) / 8
    assert abs(each - more.slot_bytes) < each / 20


Speaker = tuple[float, ...]


def speaker(key: int) -> Speaker:
    """A random speaker: 128 numbers of length 1."""
    numbers = torch.randn(128, generator=torch.Generator().manual_seed(key))
    return tuple((numbers / numbers.norm()).tolist())


ANA, BEN = speaker(1), speaker(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny KaniTTS-2 checkpoint with frames 0.3 positions apart."""
    return random_kani_tts_2(tmp_path_factory.mktemp("second") / "tiny")


@pytest.fixture(scope="module")
def second(folder: Path) -> LanguageModel:
    return opened(folder)[2]


@pytest.fixture(scope="module")
def second_runner(new_runner: NewRunner, second: LanguageModel) -> NewRunner:
    return partial(new_runner, network=second)


def opened(folder: Path) -> tuple[Checkpoint, TokenLayout, LanguageModel]:
    checkpoint = Checkpoint(folder)
    checkpoint.check_shapes()
    layout = checkpoint.layout(codebooks=4, codebook_size=4032)
    return checkpoint, layout, load(checkpoint, layout, torch.float32)


@pytest.mark.heard
@makers.needs_makers
@pytest.mark.parametrize(
    "settings",
    [{}, {"audio_step": 1, "alpha_min": 0.5}, {"use_learnable_rope": False}],
    ids=["step 0.3", "step 1", "frequencies as they are"],
)
def test_codes_match_makers_code(tmp_path: Path, new_runner: NewRunner, settings: dict[str, object]) -> None:
    checkpoint, layout, model = opened(random_kani_tts_2(tmp_path / "tiny", seed=3, **settings))
    runner = new_runner(1, network=model)
    frames = 30
    prompts = [tuple(layout.prompt(checkpoint.text_tokens(text))) for text in ("Hola", "tres tristes tigres")]
    asked = [
        makers.Asked(prompt[:-2], who, frames, PENALISED.repetition_penalty)
        for prompt in prompts
        for who in ((), ANA, BEN)
    ]
    theirs = makers.said(tmp_path / "tiny", asked, tmp_path)
    for one, expected in zip(asked, theirs, strict=True):
        admit(runner, 0, (*one.prompt, *prompts[0][-2:]), PENALISED, piece=7, speaker=tuple(one.speaker))
        assert run(runner, 1, frames)[0][: len(expected)] == expected
        runner.release(0, 1)
    assert len({str(one) for one in theirs}) == len(asked)


def test_tokens_of_frame_share_position(folder: Path, checkpoint_folder: Path) -> None:
    second, older = Checkpoint(folder), Checkpoint(checkpoint_folder)
    with ExitStack() as stack:
        weights = second.weights(stack)
        size = {"frame_tokens": 4, "capacity": 64, "device": CPU}
        turns = RotaryEmbedding(second.config, weights, **size)
        older_turns = RotaryEmbedding(older.config, older.weights(stack), **size)
        learnt = [weights(f"model.learnable_rope_layers.{layer}.alpha_weight") for layer in (1, 3)]
    frequencies = 1_000_000.0 ** -(torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    length = 9
    for place in range(length, length + 40):
        position = length + 0.3 * ((place - length) // 4)
        spoken = turns.speech(torch.tensor([place, place]), torch.tensor([length, place]))
        for layer, alpha in enumerate(learnt):
            scaled = (0.1 + 1.9 * alpha.double().sigmoid()) * frequencies
            angles = torch.tensor([[position], [place]]) * scaled
            expected = torch.polar(torch.ones_like(angles), angles)
            torch.testing.assert_close(spoken[layer].to(torch.complex128), expected, rtol=0, atol=2e-5)
    third = turns.speech(torch.tensor([3]), torch.tensor([3]))[:, 0]
    torch.testing.assert_close(turns.prompt(3, 4)[:, 0], third, rtol=0, atol=2e-7)
    # Older checkpoints have a position for each token.
    whole = older_turns.prompt(0, 64)
    assert torch.equal(older_turns.speech(torch.arange(64), torch.full((64,), 9)), whole) and len(whole) == 1


@pytest.mark.parametrize("sampling", [PENALISED, SAMPLED], ids=["greedy", "sampled"])
def test_speakers_keep_solo_codes(second_runner: NewRunner, folder: Path, sampling: Sampling) -> None:
    checkpoint, layout, _ = opened(folder)
    texts = [tuple(layout.prompt(checkpoint.text_tokens(text))) for text in ("a", "Hola", "uno dos tres")]
    runner = second_runner(4)
    streams = [(texts[1], ANA), (texts[1], BEN), (texts[2], ANA), (texts[1], ())]
    expected = []
    for prompt, who in streams:
        admit(runner, 0, prompt, sampling, speaker=who)
        expected += run(runner, 1, 12)
        runner.release(0, 1)
    assert len({str(frames) for frames in expected}) == len(streams)
    prefill = runner.start_prefill([prompt for prompt, _ in streams], [who for _, who in streams])
    while not prefill.done:
        runner.prefill_chunk(prefill, 5)
    for slot in range(len(streams)):
        runner.admit(slot, prefill, slot, sampling)
    assert run(runner, len(streams), 12) == expected
    # One is paused, and goes on in another slot.
    runner = second_runner(2)
    admit(runner, 0, texts[0], sampling)
    admit(runner, 1, texts[2], sampling, speaker=ANA)
    before = run(runner, 2, 4)[1]
    saved = runner.save(1)
    runner.release(1, 2)
    run(runner, 1, 3)
    runner.restore(1, saved)
    between = run(runner, 2, 4)[1]
    runner.release(0, 2)
    assert before + between + run(runner, 1, 4)[0] == expected[2]


@pytest.mark.parametrize(
    ("length", "who", "why"),
    [
        (LONGEST_PROMPT, ANA, f"3 to {LONGEST_PROMPT - 1} tokens"),
        (2, ANA, "3 to"),
        (9, ANA[1:], "128 finite numbers"),
        (9, (float("nan"), *ANA[1:]), "128 finite numbers"),
    ],
    ids=["no room", "no prompt", "short", "nan"],
)
def test_invalid_speaker_is_refused(
    second: LanguageModel, model: LanguageModel, second_runner: NewRunner, length: int, who: Speaker, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Utterance((5,) * length, PENALISED, 5, 1.0, speaker=who).check(second_runner(1))
    for network, numbers, message in (
        (second, ANA[1:], "128 numbers, not 127"),
        (model, ANA, "0 numbers, not 128"),
    ):
        with pytest.raises(ValueError, match=message):
            network.project_speaker(numbers)


def test_config_tells_kani_tts_2() -> None:
    named = {"architectures": ["KaniTTS2ForCausalLM"]}

    def parts(settings: dict[str, object]) -> tuple[object, ...]:
        config = ModelConfig.parse(TINY | settings)
        return config.speaker_size, config.frame_step, config.rope_scale_range

    assert parts({"architectures": ["Lfm2ForCausalLM"]}) == parts({}) == (0, None, None)
    assert parts(named) == (128, 1.0, None)
    assert parts(named | {"speaker_emb_dim": 64, "audio_step": 0.5}) == (64, 0.5, None)
    assert parts({"use_learnable_rope": True, "alpha_max": 3}) == (0, 1.0, (0.1, 3.0))
    assert parts({"audio_step": 0.25, "use_learnable_rope": False}) == (0, 0.25, None)
