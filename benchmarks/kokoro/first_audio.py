"""First audio of Kokoro, streamed, end to end through the socket.

Each sentence is synthesised by the engine itself and then requested from the server, in turn, so that both
run under the same conditions. First audio is the arrival of the first piece at a client on the same machine,
which shares its cores. A stall is counted where a client that plays each piece on arrival runs dry.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import single_engine
from benchmarks.playback_client import ReceivedSpeech, connected, request_speech
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.sentences import WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE, mixed
from benchmarks.server_process import Server
from benchmarks.single_engine import TimedSpeech

GROUPS = {
    "a phrase ends within six words": WITH_EARLY_PHRASE,
    "no phrase ends that early": WITHOUT_EARLY_PHRASE,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One sentence: by the engine itself, and through the socket."""

    own: TimedSpeech
    heard: ReceivedSpeech


async def measure(url: str) -> dict[str, list[Measured]]:
    """Measure every sentence once, after one of each group to warm up."""
    measured: dict[str, list[Measured]] = {name: [] for name in GROUPS}
    by_text = {text: name for name, group in GROUPS.items() for _, text in mixed(group)}
    sentences = mixed(*GROUPS.values())
    async with single_engine.started_engine("kokoro") as engine, connected(url) as websocket:
        for language, text in sentences[: 2 * len(GROUPS)]:
            await single_engine.speak(engine, language, text)
            await request_speech(websocket, language, text)
        for language, text in sentences:
            own = await single_engine.speak(engine, language, text)
            heard = await request_speech(websocket, language, text)
            measured[by_text[text]].append(Measured(own, heard))
    return measured


def row(name: str, results: Sequence[Measured]) -> list[str]:
    """Format one line of the table."""
    first = [result.heard.first_audio_s for result in results]
    whole = [result.heard.done_s for result in results]
    stalled = [sum(result.heard.stalls_s) for result in results]
    return [
        f"{name} ({len(results)})",
        ms(median(first)),
        ms(percentile(first, 90)),
        ms(median([result.heard.first_audible_s for result in results])),
        ms(median([result.own.whole_s for result in results])),
        f"{median([result.heard.first_audio_s / result.own.whole_s for result in results]):.2f}",
        ms(median(whole)),
        f"{median([result.heard.done_s / result.heard.duration_s for result in results]):.3f}",
        f"{median([result.heard.duration_s for result in results]):.1f} s",
        f"{sum(stall > 0 for stall in stalled)} of {len(results)}, longest {ms(max(stalled))}",
    ]


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.kokoro.first_audio", description=__doc__).parse_args()
    with report_section("First audio of Kokoro, streamed, through the socket"):
        with Server("--engine", "kokoro", KANI_THREADS=str(single_engine.THREADS)) as server:
            measured = asyncio.run(measure(server.url))
        head = (
            *("sentences (es and en)", "first audio, median", "p90", "first sound heard, median"),
            *("the engine alone, whole sentence", "first audio ÷ that", "last audio, median"),
            *("real-time factor", "audio, median", "stalls"),
        )
        print(table(head, [row(name, results) for name, results in measured.items()]))
        print(f"\nThe engine computes with {single_engine.THREADS} threads.")


if __name__ == "__main__":
    main()
