"""Slots over one model: streams join, leave, rest and come back, and each says what it says alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.codec.nanocodec import NanoCodec
from kani.lfm2 import LanguageModel
from kani.runner import Runner, SavedSlot
from kani.sampler import Sampling
from kani.tokens import OutOfMemory
from tests.judges.lfm2_judge import Judge
from tests.kani.conftest import LONGEST_FRAMES, LONGEST_PROMPT, Frames, NewRunner, Prompt, join, say

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
PENALISED = Sampling(temperature=0.0, repetition_penalty=1.1)
SAMPLED = Sampling(seed=7)


@pytest.fixture(scope="module")
def alone(new_runner: NewRunner, prompts: list[Prompt]) -> dict[tuple[Prompt, Sampling], Frames]:
    """What each prompt says by itself."""
    runner = new_runner(1)
    return {
        (prompt, sampling): say(runner, prompt, sampling, 12)
        for prompt in prompts
        for sampling in (GREEDY, PENALISED, SAMPLED)
    }


@pytest.mark.parametrize("sampling", [GREEDY, PENALISED], ids=["plain", "repetition_penalty 1.1"])
def test_greedy_codes_are_transformers(
    alone: dict[tuple[Prompt, Sampling], Frames], prompts: list[Prompt], judge: Judge, sampling: Sampling
) -> None:
    """Each code, and the end, is the likeliest legal token of transformers' own forward pass."""
    ended = 0
    for prompt in prompts:
        said = alone[prompt, sampling]
        assert judge.agrees(prompt, said, sampling.repetition_penalty)
        ended += said[-1][0] == 4032
    other = [list(frame) for frame in alone[prompts[0], sampling]]
    other[1][2] = (other[1][2] + 1) % 4032
    assert not judge.agrees(prompts[0], other, sampling.repetition_penalty)
    assert 0 < ended < len(prompts)


def test_the_longest_speech_of_the_longest_prompt_is_transformers(
    new_runner: NewRunner, prompts: list[Prompt], judge: Judge
) -> None:
    """With not one token more of room than that takes, up to the last code, beside a stream that is short."""
    runner = new_runner(2)
    longest = max(prompts, key=len)
    join(runner, 0, longest, PENALISED)
    join(runner, 1, prompts[0], PENALISED)
    said: Frames = []
    for _ in range(LONGEST_FRAMES):
        frame = runner.sample(2).tolist()[0]
        runner.advance(2)
        said.append(frame)
    end = next((n for n, frame in enumerate(said) if frame[0] == 4032), len(said))
    assert end > 15
    assert judge.agrees(longest, said[: end + 1], 1.1)


@dataclass
class Voice:
    """A stream of a schedule."""

    prompt: Prompt
    sampling: Sampling
    said: Frames = field(default_factory=list)
    saved: SavedSlot | None = None


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_in_any_schedule_every_stream_says_what_it_says_alone(
    new_runner: NewRunner,
    alone: dict[tuple[Prompt, Sampling], Frames],
    prompts: list[Prompt],
    data: st.DataObject,
) -> None:
    """Joins, ends, cancels, pauses and resumes in any order, greedy and sampled streams side by side."""
    runner = new_runner(4)
    running: list[Voice] = []
    paused: list[Voice] = []
    all_: list[Voice] = []

    def leave(voice: Voice) -> None:
        slot = running.index(voice)
        runner.release(slot, len(running))
        running[slot] = running[-1]
        running.pop()

    for _ in range(data.draw(st.integers(3, 14))):
        if len(running) < 4 and data.draw(st.booleans()):
            if paused and data.draw(st.booleans()):
                voice = paused.pop(data.draw(st.integers(0, len(paused) - 1)))
                assert voice.saved is not None
                runner.restore(len(running), voice.saved)
            else:
                prompt, sampling = data.draw(st.sampled_from(sorted(alone, key=str)))
                voice = Voice(prompt, sampling)
                join(runner, len(running), prompt, sampling, data.draw(st.integers(1, 50)))
                all_.append(voice)
            running.append(voice)
        if running and data.draw(st.integers(0, 3)) == 0:
            voice = data.draw(st.sampled_from(running))
            if data.draw(st.booleans()):
                voice.saved = runner.save(running.index(voice))
                paused.append(voice)
            leave(voice)
        if not running:
            continue
        for voice, frame in zip(running, runner.sample(len(running)).tolist(), strict=True):
            voice.said.append(frame)
        cut = data.draw(st.sampled_from([None, *running]))
        for voice in [v for v in running if v.said[-1][0] == 4032 or len(v.said) == 12 or v is cut]:
            leave(voice)
        if running:
            runner.advance(len(running))
    for voice in all_:
        assert voice.said == alone[voice.prompt, voice.sampling][: len(voice.said)]


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_prompts_read_together_say_what_each_says_alone(
    new_runner: NewRunner,
    alone: dict[tuple[Prompt, Sampling], Frames],
    prompts: list[Prompt],
    data: st.DataObject,
) -> None:
    """Prompts of different lengths, read in pieces of any size while others run, into any slots."""
    runner = new_runner(5)
    together = data.draw(st.lists(st.sampled_from(prompts), min_size=1, max_size=4))
    piece = data.draw(st.integers(1, LONGEST_PROMPT))
    join(runner, 0, prompts[3], SAMPLED)
    said: list[Frames] = [[] for _ in range(len(together) + 1)]
    prefill = runner.start_prefill(together)
    while not prefill.done and len(said[0]) < 5:
        runner.prefill_chunk(prefill, piece)
        said[0] += runner.sample(1).tolist()
        runner.advance(1)
    if not prefill.done:
        runner.prefill_chunk(prefill, LONGEST_PROMPT)
    for row in reversed(range(len(together))):
        runner.admit(len(together) - row, prefill, row, GREEDY)
    for _ in range(4):
        for frames, frame in zip(said, runner.sample(len(said)).tolist(), strict=True):
            frames.append(frame)
        runner.advance(len(said))
    assert said[0] == alone[prompts[3], SAMPLED][: len(said[0])]
    for row, prompt in enumerate(together):
        assert said[len(together) - row] == alone[prompt, GREEDY][:4]


def test_nothing_is_left_of_a_slot_s_last_stream(
    model: LanguageModel, codec: NanoCodec, prompts: list[Prompt], new_runner: NewRunner
) -> None:
    """Codes and samples are bit by bit those of a slot in which nobody has ever been."""

    def whole(runner: Runner, prompt: Prompt, sampling: Sampling) -> tuple[Frames, bytes]:
        join(runner, 0, prompt, sampling)
        said, heard = [], b""
        for _ in range(6):
            codes = runner.sample(1)
            said += codes.tolist()
            heard += runner.decode_audio([0], np.minimum(codes, 4031)[:, None]).tobytes()
            runner.advance(1)
        runner.release(0, 1)
        return said, heard

    used = new_runner(1)
    whole(used, max(prompts, key=len), Sampling(2.0, 1.0, 0, 1.3, seed=3))
    for sampling in (SAMPLED, PENALISED):
        assert whole(used, prompts[2], sampling) == whole(new_runner(1), prompts[2], sampling)


def test_a_pause_changes_no_bit(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    """Saved after a frame has begun and restored where another was, a stream goes on as it would have."""

    def speak(runner: Runner, count: int) -> tuple[Frames, bytes]:
        said, heard = [], b""
        for _ in range(count):
            codes = runner.sample(1)
            said += codes.tolist()
            heard += runner.decode_audio([0], np.minimum(codes, 4031)[:, None]).tobytes()
            runner.advance(1)
        return said, heard

    paused, unpaused = new_runner(1), new_runner(1)
    for runner in (paused, unpaused):
        join(runner, 0, prompts[4], SAMPLED)
        speak(runner, 3)
    saved = paused.save(0)
    paused.release(0, 1)
    join(paused, 0, prompts[7], GREEDY)
    speak(paused, 8)
    paused.release(0, 1)
    paused.restore(0, saved)
    assert speak(paused, 5) == speak(unpaused, 5)


def test_streams_are_spoken_by_the_codec_as_they_are_drawn(
    new_runner: NewRunner, codec: NanoCodec, prompts: list[Prompt]
) -> None:
    """A slot's samples are the codec's for its codes, after other slots were freed and theirs moved."""
    runner = new_runner(3)
    for slot, prompt in enumerate(prompts[4:7]):
        join(runner, slot, prompt, SAMPLED)
    said, heard = [], []
    for frame in range(6):
        if frame == 3:
            runner.release(0, 3)  # the last stream is in slot 0 from now on
        slot, count = (2, 3) if frame < 3 else (0, 2)
        codes = np.minimum(runner.sample(count), 4031)
        said.append(codes[slot])
        heard.append(runner.decode_audio([1, slot], codes[[1, slot], None])[1])
        runner.advance(count)
    expected = codec.decode(torch.from_numpy(np.array(said))[None], torch.tensor([0]), codec.new_state(1))[0]
    assert np.abs(np.concatenate(heard) - expected.numpy()).max() <= 1e-5


def test_warming_up_leaves_nothing_behind(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    """What is said afterwards is what would have been said without."""
    warm = new_runner(2)
    warm.warm_up(lambda line: None)
    assert say(warm, prompts[1], SAMPLED, 5) == say(new_runner(2), prompts[1], SAMPLED, 5)


def test_a_slot_s_size_is_what_its_tensors_take(new_runner: NewRunner) -> None:
    """The bytes that are told of and counted are those that more slots really take, within a twentieth."""

    def allocated(runner: Runner) -> int:
        tensors = [runner._language.cache, runner._language.context, runner._audio.rows]
        return sum(tensor.nbytes for tensor in (*tensors, *runner._sampler._tensors))

    more, fewer = new_runner(9), new_runner(1)
    each = (allocated(more) - allocated(fewer)) / 8
    assert abs(each - more.slot_bytes) < each / 20


def test_slots_that_do_not_fit_are_refused(new_runner: NewRunner) -> None:
    """Before they are taken, with what they need, what there is, and how many would fit."""
    message = r"1000000000 slots need \d+\.\d GiB of \d+\.\d GiB that are free: at most --slots (\d+)"
    with pytest.raises(OutOfMemory, match=message):
        new_runner(10**9)
