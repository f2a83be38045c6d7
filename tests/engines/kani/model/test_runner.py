"""Slots over one model: any schedule gives each sequence the codes of its solo run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.runner import Runner, SavedSlot
from kani.engines.kani.model.sampler import Sampling
from kani.runtime.errors import OutOfMemory
from tests.engines.kani.model.conftest import (
    LONGEST_FRAMES,
    LONGEST_PROMPT,
    Frames,
    NewRunner,
    Prompt,
    admit,
    run_alone,
)
from tests.judges.lfm2_judge import Judge

GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
PENALISED = Sampling(temperature=0.0, repetition_penalty=1.1)
SAMPLED = Sampling(seed=7)


@pytest.fixture(scope="module")
def alone(new_runner: NewRunner, prompts: list[Prompt]) -> dict[tuple[Prompt, Sampling], Frames]:
    """Codes of each prompt's solo run."""
    runner = new_runner(1)
    return {
        (prompt, sampling): run_alone(runner, prompt, sampling, 12)
        for prompt in prompts
        for sampling in (GREEDY, PENALISED, SAMPLED)
    }


@pytest.mark.parametrize("sampling", [GREEDY, PENALISED], ids=["plain", "repetition_penalty 1.1"])
def test_greedy_codes_match_transformers(
    alone: dict[tuple[Prompt, Sampling], Frames], prompts: list[Prompt], judge: Judge, sampling: Sampling
) -> None:
    ended = 0
    for prompt in prompts:
        said = alone[prompt, sampling]
        assert judge.agrees(prompt, said, sampling.repetition_penalty)
        ended += said[-1][0] == 4032
    other = [list(frame) for frame in alone[prompts[0], sampling]]
    other[1][2] = (other[1][2] + 1) % 4032
    assert not judge.agrees(prompts[0], other, sampling.repetition_penalty)
    assert 0 < ended < len(prompts)


def test_longest_speech_of_longest_prompt_matches_transformers(
    new_runner: NewRunner, prompts: list[Prompt], judge: Judge
) -> None:
    runner = new_runner(2)
    longest = max(prompts, key=len)
    admit(runner, 0, longest, PENALISED)
    admit(runner, 1, prompts[0], PENALISED)
    said: Frames = []
    for _ in range(LONGEST_FRAMES):
        frame = runner.sample(2).tolist()[0]
        runner.advance(2)
        said.append(frame)
    end = next((n for n, frame in enumerate(said) if frame[0] == 4032), len(said))
    assert end > 15
    assert judge.agrees(longest, said[: end + 1], 1.1)


@dataclass
class Scheduled:
    """A sequence of a schedule."""

    prompt: Prompt
    sampling: Sampling
    said: Frames = field(default_factory=list)
    saved: SavedSlot | None = None


@settings(max_examples=25, deadline=None)  # an example runs whole schedules
@given(data=st.data())
def test_any_schedule_gives_codes_of_solo_run(
    new_runner: NewRunner,
    alone: dict[tuple[Prompt, Sampling], Frames],
    prompts: list[Prompt],
    data: st.DataObject,
) -> None:
    runner = new_runner(4)
    running: list[Scheduled] = []
    paused: list[Scheduled] = []
    all_: list[Scheduled] = []

    def leave(voice: Scheduled) -> None:
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
                voice = Scheduled(prompt, sampling)
                admit(runner, len(running), prompt, sampling, data.draw(st.integers(1, 50)))
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


@settings(max_examples=10, deadline=None)  # an example runs whole schedules
@given(data=st.data())
def test_batched_prefill_gives_codes_of_solo_run(
    new_runner: NewRunner,
    alone: dict[tuple[Prompt, Sampling], Frames],
    prompts: list[Prompt],
    data: st.DataObject,
) -> None:
    runner = new_runner(5)
    together = data.draw(st.lists(st.sampled_from(prompts), min_size=1, max_size=4))
    piece = data.draw(st.integers(1, LONGEST_PROMPT))
    admit(runner, 0, prompts[3], SAMPLED)
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


def speak(runner: Runner, count: int) -> tuple[Frames, bytes]:
    """Frames and audio of the only sequence."""
    said, heard = [], b""
    for _ in range(count):
        codes = runner.sample(1)
        said += codes.tolist()
        heard += runner.decode_audio([0], np.minimum(codes, 4031)[:, None]).tobytes()
        runner.advance(1)
    return said, heard


def test_reused_slot_is_clean(prompts: list[Prompt], new_runner: NewRunner) -> None:
    def whole(runner: Runner, prompt: Prompt, sampling: Sampling) -> tuple[Frames, bytes]:
        admit(runner, 0, prompt, sampling)
        spoken = speak(runner, 6)
        runner.release(0, 1)
        return spoken

    used = new_runner(1)
    whole(used, max(prompts, key=len), Sampling(2.0, 1.0, 0, 1.3, seed=3))
    for sampling in (SAMPLED, PENALISED):
        assert whole(used, prompts[2], sampling) == whole(new_runner(1), prompts[2], sampling)


def test_pause_changes_no_bit(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    paused, unpaused = new_runner(1), new_runner(1)
    for runner in (paused, unpaused):
        admit(runner, 0, prompts[4], SAMPLED)
        speak(runner, 3)
    saved = paused.save(0)
    paused.release(0, 1)
    admit(paused, 0, prompts[7], GREEDY)
    speak(paused, 8)
    paused.release(0, 1)
    paused.restore(0, saved)
    assert speak(paused, 5) == speak(unpaused, 5)


def test_decoded_audio_matches_sampled_codes(
    new_runner: NewRunner, codec: NanoCodec, prompts: list[Prompt]
) -> None:
    runner = new_runner(3)
    for slot, prompt in enumerate(prompts[4:7]):
        admit(runner, slot, prompt, SAMPLED)
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


def test_warm_up_leaves_no_state(new_runner: NewRunner, prompts: list[Prompt]) -> None:
    warm = new_runner(2)
    warm.warm_up(lambda line: None)
    assert run_alone(warm, prompts[1], SAMPLED, 5) == run_alone(new_runner(2), prompts[1], SAMPLED, 5)


def test_slot_bytes_match_allocated_tensors(new_runner: NewRunner) -> None:
    def allocated(runner: Runner) -> int:
        tensors = [runner._language.cache, runner._language.context, runner._audio.rows]
        return sum(tensor.nbytes for tensor in (*tensors, *runner._sampler._tensors))

    more, fewer = new_runner(9), new_runner(1)
    each = (allocated(more) - allocated(fewer)) / 8
    assert abs(each - more.slot_bytes) < each / 20


def test_oversized_slots_are_refused(new_runner: NewRunner) -> None:
    message = r"1000000000 slots need \d+\.\d GiB of \d+\.\d GiB that are free: at most --slots (\d+)"
    with pytest.raises(OutOfMemory, match=message):
        new_runner(10**9)
