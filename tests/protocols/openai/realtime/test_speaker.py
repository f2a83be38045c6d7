"""The track of a call, without a call."""

import numpy as np

from kani.protocols.openai.realtime.webrtc.speaker import FRAME, RATE, Speaker, Utterance


async def test_answer_that_is_cleared_between_two_pieces_ends_there() -> None:
    speaker, seen = Speaker(), list[str]()
    utterance = Utterance(lambda: seen.append("drained"), lambda: seen.append("cleared"))
    utterance.add(FRAME / RATE)
    speaker.put(utterance, np.ones(FRAME, np.float32))
    first, second = await speaker.recv(), await speaker.recv()
    assert (first.pts, second.pts) == (0, 960) and utterance.played_s == FRAME / RATE
    assert seen == []  # it may go on
    speaker.clear()
    speaker.clear()
    assert seen == ["cleared"]
    speaker.stop()


async def test_utterances_follow_each_other_and_each_is_drained() -> None:
    speaker, seen = Speaker(), list[str]()
    for name in ("one", "two"):
        utterance = Utterance(lambda name=name: seen.append(name), lambda: seen.append("cleared"))
        speaker.put(utterance, np.ones(FRAME // 2, np.float32))
        speaker.finish(utterance)
    await speaker.recv()
    await speaker.recv()
    assert seen == ["one", "two"]
    speaker.clear()
    assert seen == ["one", "two"]
