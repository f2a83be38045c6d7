"""WebSocket against WebRTC: waits for answers, for silence.

Each round opens one connection of either kind; a voice of Kokoro's asks, hears 1.5 s of the answer, and asks
into it. Times are at the client, which holds nothing back: from the last sound that is said to the first of
the answer, and from the first sound of an interruption to the last of the answer (by WebSocket to the event
so that the client can stop it). Needs deploy/requirements-webrtc.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
from collections.abc import Sequence

import numpy as np
import soxr

from benchmarks.conversations.many_turns import AUDIBLE, say_to
from benchmarks.conversations.talker import DELTA, STARTED, talker
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.turn_cases import speaker
from benchmarks.report import median, percentile, report_section, table
from benchmarks.server_process import Server
from kani.core.types import Samples
from tests.clients.openai_call import LOUD, Caller, calling
from tests.clients.openai_realtime import RATE
from tests.support.chat.endpoint import chat_endpoint, say
from tests.support.patience import happens

QUESTION = "Which platform does the train to the north leave from?"
ANSWER = (
    "The train to the north leaves from platform seven, and it will stop in four towns on the way to the "
    "coast, where a bus waits for everybody who wants to go on to the harbour."
)
PLAYED_S = 1.5
WAYS = ("WebSocket", "WebRTC")

Times = tuple[float, float]
"""Seconds until the answer's first sound, and until silence after an interruption."""


async def by_websocket(port: int, detection: str, question: Samples) -> Times:
    """Hold one conversation."""
    async with talker(port, "en", detection, "short") as client:
        last = await say_to(client, question)
        while True:
            at_s, event = await client.until(DELTA)
            samples = np.abs(np.frombuffer(base64.b64decode(event["delta"]), "<i2") / np.float32(32768))
            if (samples > LOUD).any():
                break
        wait_s = at_s + float(np.argmax(samples > LOUD)) / RATE - last
        await asyncio.sleep(PLAYED_S)
        while not client.events.empty():
            client.events.get_nowait()
        begun = await client.say(question) + _first(question) / CLIP_RATE
        while True:
            at_s, event = await client.events.get()
            if event["type"] == STARTED or event.get("details", {}).get("state") == "heard":
                return wait_s, at_s - begun


async def by_webrtc(http_url: str, detection: str, question: Samples) -> Times:
    """Hold one conversation."""
    async with calling(http_url) as caller:
        given = {"transcription": {"language": "en"}, "turn_detection": {"type": detection}}
        voice = {"voice": JUDGING_VOICES["en"][0]}
        await caller.configure("realtime", audio={"input": given, "output": voice})
        last = await _say(caller, question) + _last(question) / CLIP_RATE
        await caller.until("output_audio_buffer.started")
        await happens(lambda: caller.loud_at(last))
        first = caller.loud_at(last)[0]
        await asyncio.sleep(PLAYED_S)
        begun = await _say(caller, question) + _first(question) / CLIP_RATE
        await caller.until("output_audio_buffer.cleared")
        await asyncio.sleep(0.5)
        return first - last, max([begun, *caller.loud_at(begun)]) - begun


async def _say(caller: Caller, samples: Samples) -> float:
    """Begin to say 16 kHz samples; returns when their first one is sent."""
    before = caller.microphone.begun_at
    caller.microphone.say(soxr.resample(samples, CLIP_RATE, RATE))
    await happens(lambda: caller.microphone.begun_at != before)
    return caller.microphone.begun_at


def _first(samples: Samples) -> float:
    return float(np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())[0])


def _last(samples: Samples) -> float:
    return float(np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())[-1])


async def measure(rounds: int, detection: str) -> None:
    """Print the table."""
    async with speaker() as speak:
        question = (await speak("en", JUDGING_VOICES["en"][1], QUESTION))[0]
    times: dict[str, list[Times]] = {way: [] for way in WAYS}
    async with chat_endpoint(lambda _: say(ANSWER)) as endpoint:
        with Server(KANI_LLM_URL=endpoint.url) as server:
            http_url = f"http://127.0.0.1:{server.port}"
            for number in range(rounds + 1):
                pair = (
                    await by_websocket(server.port, detection, question),
                    await by_webrtc(http_url, detection, question),
                )
                for way, found in zip(WAYS, pair, strict=True):
                    if number:  # the first round warms up
                        times[way].append(found)
                        print(way, *(f"{each:.3f}" for each in found), flush=True)
    print(table(("by", "last sound to first sound, median / p95", "interruption to silence"), _rows(times)))


def _rows(times: dict[str, list[Times]]) -> list[list[str]]:
    def cell(found: Sequence[float]) -> str:
        return f"{median(found):.3f} s / {percentile(found, 95):.3f} s"

    return [[way, *(cell([each[at] for each in found]) for at in (0, 1))] for way, found in times.items()]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversations.by_webrtc", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--detection", default="semantic_vad", choices=("semantic_vad", "server_vad"))
    chosen = parser.parse_args()
    with report_section("Conversations by WebRTC", "ctranslate2", "onnxruntime", "aiortc"):
        asyncio.run(measure(chosen.rounds, chosen.detection))


if __name__ == "__main__":
    main()
