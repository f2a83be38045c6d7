"""Recognition through OpenAI's Realtime socket: words, delays, ends of turns.

``benchmarks.recognition.kyutai_socket`` measures the same words through Kyutai's. Ends of turns are those of
``server_vad`` at its defaults, in noise; a turn that ends in a pause shorter than its silence is a cut.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import soxr
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.recognition.clips import SAMPLE_RATE as CLIP_RATE
from benchmarks.recognition.clips import Clip, clips, judging_clips, with_noise
from benchmarks.recognition.measures import Transcript, word_error_rate
from benchmarks.recognition.streams import NOISE_DB, SINGLE_STREAM_CLIPS, WORDS, seconds
from benchmarks.report import report_section, table
from benchmarks.server_process import Server
from kani.core.audio.pcm import pcm16
from kani.core.conversation.turns import TurnMachine, TurnStopped
from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, RecognizedWord, Step
from kani.core.types import Samples
from kani.protocols.openai.realtime.session_config import TurnDetection
from kani.runtime.voice_detector import VoiceDetector

RATE = 24_000
PIECE_S = 0.05
"""Audio of one append, as LiveKit's plugin sends it."""

SERVER_VAD = "server_vad"
PARTS = ("detector", "words", "turns")
"""``detector`` finds the ends of turns without a socket and without waiting."""

SILENCE_S = 0.5
"""``silence_duration_ms`` of ``server_vad`` by default."""


@dataclass(slots=True)
class Heard:
    """Events of one clip, each with the seconds since the clip began."""

    transcript: Transcript
    stops: list[tuple[float, float]] = field(default_factory=list)  # arrival, ``audio_end_ms`` in seconds


def ends(clip: Clip) -> list[tuple[float, float]]:
    """Return the pauses of a clip that end a turn or may: end of the word before, start of the next."""
    starts = [word.start_s for word in clip.words[1:]] + [clip.duration_s]
    return [(word.end_s, start_s) for word, start_s in zip(clip.words, starts, strict=True)]


async def send(websocket: ClientConnection, samples: Samples, begun: float) -> None:
    """Send pieces at the pace of speech."""
    size = round(PIECE_S * RATE)
    for number, at in enumerate(range(0, len(samples), size), 1):
        await asyncio.sleep(begun + number * PIECE_S - time.perf_counter())
        audio = base64.b64encode(pcm16(samples[at : at + size])).decode()
        await websocket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


def session(clip: Clip, detection: dict[str, Any] | None) -> str:
    """Return the event that configures a session."""
    transcription = {"model": "whisper-1", "language": clip.language}
    audio_input = {"transcription": transcription, "turn_detection": detection}
    return json.dumps(
        {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}
    )


async def transcribe(url: str, clip: Clip, samples: Samples) -> Heard:
    """Send one clip with its language given, and collect the events."""
    padded = soxr.resample(samples, CLIP_RATE, RATE)
    heard = Heard(Transcript(clip))
    async with connect(f"{url}v1/realtime?intent=transcription", max_size=None) as websocket:
        await websocket.recv()
        await websocket.send(session(clip, {"type": "server_vad"}))
        await websocket.recv()
        begun = time.perf_counter()
        sending = asyncio.create_task(send(websocket, padded, begun))
        sending.add_done_callback(lambda _: asyncio.create_task(websocket.send(_COMMIT)))
        last_committed = None
        async for message in websocket:
            at_s, event = time.perf_counter() - begun, json.loads(message)
            match event["type"]:
                case "conversation.item.input_audio_transcription.delta":
                    word = RecognizedWord(event["delta"].strip(), 0.0, 0.0)
                    heard.transcript.events.append((at_s, word))
                case "input_audio_buffer.speech_stopped":
                    heard.stops.append((at_s, event["audio_end_ms"] / 1000))
                case "input_audio_buffer.committed" if sending.done():
                    last_committed = event["item_id"]
                case "conversation.item.input_audio_transcription.completed":
                    if event["item_id"] == last_committed:
                        break
    return heard


_COMMIT = json.dumps({"type": "input_audio_buffer.commit"})


async def transcribe_all(url: str, said: Sequence[tuple[Clip, Samples]], at_a_time: int) -> list[Heard]:
    """Transcribe clips, ``at_a_time`` of them at once."""
    free = asyncio.Semaphore(at_a_time)

    async def one(clip: Clip, samples: Samples) -> Heard:
        async with free:
            return await transcribe(url, clip, samples)

    return await asyncio.gather(*(one(clip, samples) for clip, samples in said))


def detected(clip: Clip, samples: Samples) -> Heard:
    """Find the ends of turns by the voice detector, in steps as the server gets them."""
    voices = VoiceDetector().stream().feed(samples)
    machine, rule = TurnMachine(CLIP_RATE), TurnDetection().rule
    heard, done = Heard(Transcript(clip)), 0
    for index in range(int(len(samples) / CLIP_RATE / STEP_S)):
        until = int((index + 1) * STEP_S / VOICE_CHUNK_S + 1e-9)
        step = Step(index, (0.0, 0.0, 0.0, 0.0), tuple(voices[done:until]))
        done = until
        for event in machine.feed(step, rule):
            if isinstance(event, TurnStopped):
                heard.stops.append(((index + 1) * STEP_S, event.end_s))
    return heard


def delays(heard: Sequence[Heard]) -> tuple[list[float], int, int, int]:
    """Return the delays of the stops after the true ends of speech; numbers of ends, cuts and misses."""
    found: list[float] = []
    turns = cuts = 0
    for each in heard:
        gaps = ends(each.transcript.clip)
        turns += sum(start_s - end_s >= SILENCE_S for end_s, start_s in gaps)
        for at_s, heard_s in each.stops:
            end_s, start_s = max((gap for gap in gaps if gap[0] <= heard_s), default=gaps[0])
            if start_s - end_s < SILENCE_S:
                cuts += 1
            else:
                found.append(at_s - end_s)
    return found, turns, cuts, turns - len(found)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.realtime_socket", description=__doc__
    )
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--clips", type=int, default=25, help="of four sentences, for the turns")
    parser.add_argument("--streams", type=int, default=3, help="of these at once")
    parser.add_argument("--judging", action="store_true", help="use speech that tuned nothing")
    chosen = parser.parse_args()
    said = asyncio.run((judging_clips if chosen.judging else clips)(WORDS))
    clean = [(clip, clip.samples) for clip in said[:SINGLE_STREAM_CLIPS]]
    noisy = [(clip, with_noise(clip.samples, NOISE_DB, at)) for at, clip in enumerate(said[: chosen.clips])]
    with report_section("Recognition through OpenAI's Realtime socket", "ctranslate2", "faster-whisper"):
        if "detector" in chosen.parts:
            print_turns([detected(clip, clip.samples) for clip in said], "clean, no socket")
            sounds = [with_noise(clip.samples, NOISE_DB, at) for at, clip in enumerate(said)]
            print_turns(list(map(detected, said, sounds)), f"{NOISE_DB:g} dB noise, no socket")
        if not {"words", "turns"} & {*chosen.parts}:
            return
        with Server("--engine", "espeak") as running:
            # The first connection waits for the recogniser's start.
            asyncio.run(transcribe(running.url, *start(said)))
            if "words" in chosen.parts:
                print_words(asyncio.run(transcribe_all(running.url, clean, 1)))
            if "turns" in chosen.parts:
                turns = asyncio.run(transcribe_all(running.url, noisy, chosen.streams))
                print_turns(turns, f"{NOISE_DB:g} dB noise")


def start(said: Sequence[Clip]) -> tuple[Clip, Samples]:
    """Return the first seconds of a clip."""
    return said[0], said[0].samples[: 2 * CLIP_RATE]


def print_words(heard: Sequence[Heard]) -> None:
    """Print the delays of the words."""
    transcripts = [each.transcript for each in heard]
    late = [delay for transcript in transcripts for delay in transcript.delays_s]
    words = sum(transcript.word_errors[1] for transcript in transcripts)
    row = [str(words), f"{word_error_rate(transcripts):.1%}", f"{seconds(late)} / {seconds(late, 95)}"]
    head = ("words, one stream", "wrong", "end of a word to its delta, median / p95")
    print(table(head, [row]) + "\n", flush=True)


def print_turns(heard: Sequence[Heard], name: str) -> None:
    """Print the delays of the ends of turns."""
    found, count, cuts, missed = delays(heard)
    stops = f"{seconds(found)} / {seconds(found, 95)}"
    head = (
        name,
        "turns",
        "end of speech to speech_stopped, median / p95",
        "cuts in shorter pauses",
        "not ended",
    )
    print(table(head, [[SERVER_VAD, str(count), stops, str(cuts), str(missed)]]) + "\n", flush=True)


if __name__ == "__main__":
    main()
