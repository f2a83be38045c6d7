"""Recognition through Kyutai's socket, at the pace of speech.

``benchmarks.recognition.streams`` has no socket in between.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

import msgspec
import soxr
from websockets.asyncio.client import ClientConnection

from benchmarks.protocols.kyutai_client import FRAME_S, SAMPLE_RATE, connect_recognition
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.clips import Clip, clips, judging_clips
from benchmarks.recognition.measures import Transcript
from benchmarks.recognition.streams import SINGLE_STREAM_CLIPS, WORDS, row
from benchmarks.report import report_section, table
from benchmarks.server_process import Server
from kani.core.recognizer import RecognizedWord, Step
from kani.core.types import Samples
from kani.protocols.kyutai import messages

PARTS = ("one", "six")
MARK = 1
HEAD = (
    *("through the socket", "words", "wrong", "delay, median / p95", "start error, median / p90"),
    *("words behind their pause", "false ends of turn"),
)


async def send(websocket: ClientConnection, samples: Samples, begun: float) -> None:
    """Send frames at the pace of speech, and a marker."""
    for number, at in enumerate(range(0, len(samples), messages.FRAME_SAMPLES), 1):
        await asyncio.sleep(begun + number * FRAME_S - time.perf_counter())
        await websocket.send(messages.audio(samples[at : at + messages.FRAME_SAMPLES]))
    await websocket.send(messages.marker(MARK))


async def transcribe(url: str, clip: Clip) -> Transcript:
    """Transcribe one clip with its language given."""
    samples = soxr.resample(clip.samples, CLIP_RATE, SAMPLE_RATE)
    transcript = Transcript(clip)
    async with connect_recognition(url, language=clip.language) as websocket:
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
                    transcript.events.append((at_s, RecognizedWord(*word, message["stop_time"])))
                case "Step":
                    transcript.events.append((at_s, Step(message["step_idx"], tuple(message["prs"]))))
                case "Marker":
                    break
        await sending
    return transcript


async def transcribe_all(url: str, said: Sequence[Clip], at_a_time: int) -> list[Transcript]:
    """Transcribe clips, ``at_a_time`` of them at once."""
    free = asyncio.Semaphore(at_a_time)

    async def one(clip: Clip) -> Transcript:
        async with free:
            return await transcribe(url, clip)

    return await asyncio.gather(*map(one, said))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.kyutai_socket", description=__doc__
    )
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--judging", action="store_true", help="use speech that tuned nothing")
    chosen = parser.parse_args()
    said = asyncio.run((judging_clips if chosen.judging else clips)(WORDS))
    ways = {"one": ("one stream", said[:SINGLE_STREAM_CLIPS], 1), "six": ("six at once", said, 6)}
    rows = []
    with report_section("Recognition through Kyutai's socket", "ctranslate2", "faster-whisper"):
        with Server("--engine", "espeak") as running:
            # The first connection waits for the recogniser's start.
            asyncio.run(transcribe(running.url, said[0]))
            for name, some, at_a_time in (ways[part] for part in chosen.parts):
                rows.append(row(name, asyncio.run(transcribe_all(running.url, some, at_a_time)), 0.0)[:-1])
        print(table(HEAD, rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
