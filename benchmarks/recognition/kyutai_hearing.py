"""Recognition through Kyutai's socket, at the pace of speech.

``benchmarks.recognition.listening`` has no socket in between.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

import msgspec
import soxr
from websockets.asyncio.client import ClientConnection

from benchmarks.protocols.kyutai_client import FRAME_S, SAMPLE_RATE, to_listen
from benchmarks.recognition.listening import ALONE_CLIPS, WORDS, row
from benchmarks.recognition.listening_measures import Hearing
from benchmarks.recognition.listening_speech import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.listening_speech import Clip, clips
from benchmarks.report import sitting, table
from benchmarks.serving import Server
from protocols.kyutai import messages
from speech.recognizer import HeardWord, Step
from speech.types import Samples

MARK = 1
HEAD = (
    *("through the socket", "words", "wrong", "delay, median / p95", "start error, median / p90"),
    *("words behind their pause", "false ends of turn"),
)


async def send(websocket: ClientConnection, samples: Samples, begun: float) -> None:
    """Send frames as they would be spoken, and a marker."""
    for number, at in enumerate(range(0, len(samples), messages.FRAME), 1):
        await asyncio.sleep(begun + number * FRAME_S - time.perf_counter())
        await websocket.send(messages.audio(samples[at : at + messages.FRAME]))
    await websocket.send(messages.marker(MARK))


async def hear(url: str, clip: Clip) -> Hearing:
    """One clip, told its language."""
    samples = soxr.resample(clip.samples, CLIP_RATE, SAMPLE_RATE)
    hearing = Hearing(clip)
    async with to_listen(url, language=clip.language) as websocket:
        await websocket.recv()
        begun = time.perf_counter()
        sending = asyncio.create_task(send(websocket, samples, begun))
        word = ("", 0.0)
        async for packed in websocket:
            at_s, message = time.perf_counter() - begun, msgspec.msgpack.decode(packed)
            match message["type"]:
                case "Word":
                    word = (message["text"], message["start_time"])
                case "EndWord":
                    hearing.told.append((at_s, HeardWord(*word, message["stop_time"])))
                case "Step":
                    hearing.told.append((at_s, Step(message["step_idx"], tuple(message["prs"]))))
                case "Marker":
                    break
        await sending
    return hearing


async def hear_all(url: str, said: Sequence[Clip], at_a_time: int) -> list[Hearing]:
    """Clips in turn, so many at once."""
    free = asyncio.Semaphore(at_a_time)

    async def one(clip: Clip) -> Hearing:
        async with free:
            return await hear(url, clip)

    return await asyncio.gather(*map(one, said))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.kyutai_hearing", description=__doc__
    )
    parser.parse_args()
    said = asyncio.run(clips(WORDS))
    rows = []
    with sitting("Hearing through Kyutai's socket", "ctranslate2", "faster-whisper"):
        with Server("--engine", "espeak") as running:
            # The first who is heard waits for the recogniser's start.
            asyncio.run(hear(running.url, said[0]))
            for name, chosen, at_a_time in (("one stream", said[:ALONE_CLIPS], 1), ("six at once", said, 6)):
                rows.append(row(name, asyncio.run(hear_all(running.url, chosen, at_a_time)), 0.0)[:-1])
        print(table(HEAD, rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
