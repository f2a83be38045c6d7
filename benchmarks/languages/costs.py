"""Cost of Chinese, Japanese and Hindi, through the socket.

first: first audio and real-time factor, beside English sentences of the same length, in turn.
start: start to ready and memory with none of the three asked for, beside a server that has no packages for
    them, in turn.
load: the first request of each language beside a later one, and the memory that it adds.
size: bytes of the packages, of the Japanese dictionary in the cache folder, and of the voices.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

from benchmarks.kokoro_decoder.sockets import wait_until_loaded
from benchmarks.kokoro_decoder.windows import LITERT
from benchmarks.languages.sentences import LATER
from benchmarks.playback_client import ReceivedSpeech, connected, request_speech
from benchmarks.report import measure, median, mib, ms, percentile, table
from benchmarks.sentences import ABOUT_4_S
from benchmarks.server_process import Server
from kani.engines.kokoro.text.unspaced import chinese, japanese
from kani.engines.kokoro.voices import Voices
from kani.server import settings

SENTENCES = 12
SHORT = 28
"""Least characters of the beginnings of English sentences that stand beside short ones."""
ALIKE = 1.15
"""Most that the lengths of two sentences differ by, as a ratio, that count as equally long."""
STARTS = 3
WARM = 2

PACKAGES = (*chinese.PACKAGES, *japanese.PACKAGES)
VOICE_BYTES = 510 * 256 * 2

# Python imports this file at its start where its folder is in PYTHONPATH.
WITHOUT_PACKAGES = f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def without(name, *arguments):
    return None if name.partition(".")[0] in {PACKAGES} else find(name, *arguments)
PathFinder.find_spec = without
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and an English one of the same length, each requested beside the other."""

    own: ReceivedSpeech
    english: ReceivedSpeech

    @property
    def first_audio(self) -> float:
        """First audio as a multiple of the English sentence's."""
        return self.own.first_audio_s / self.english.first_audio_s

    @property
    def real_time_factor(self) -> float:
        """Real-time factor as a multiple of the English sentence's."""
        return _factor(self.own) / _factor(self.english)


def _factor(speech: ReceivedSpeech) -> float:
    return speech.done_s / speech.duration_s


async def paired(url: str) -> dict[str, list[Pair]]:
    """Request sentences of each language, each beside an English one of the same length, in turn."""
    begins = (text[: text.find(" ", SHORT)] + "." for text in ABOUT_4_S["en"])
    found: dict[str, list[Pair]] = {language: [] for language in LATER}
    async with connected(url) as websocket:
        lengths = {
            text: (await request_speech(websocket, "en", text)).duration_s
            for text in (*ABOUT_4_S["en"], *begins)
        }
        for language, pairs in found.items():
            for text in LATER[language]:
                duration_s = (await request_speech(websocket, language, text)).duration_s
                beside = min(lengths, key=lambda other, own=duration_s: abs(lengths[other] - own))
                if max(lengths[beside] / duration_s, duration_s / lengths[beside]) > ALIKE:
                    continue
                # The order of the two alternates as well.
                asked = [(language, text), ("en", beside)][:: 1 if len(pairs) % 2 else -1]
                heard = {name: await request_speech(websocket, name, one) for name, one in asked}
                pairs.append(Pair(heard[language], heard["en"]))
                if len(pairs) == SENTENCES:
                    break
    return found


def first() -> None:
    """Print first audio and real-time factor beside English."""
    rows = []
    with Server("--engine", "kokoro") as server:
        wait_until_loaded(server, LITERT)
        for language, pairs in asyncio.run(paired(server.url)).items():
            ratios = [pair.first_audio for pair in pairs]
            factors = [pair.real_time_factor for pair in pairs]
            rows.append(
                [
                    f"{language} ({len(pairs)})",
                    f"{median([pair.own.duration_s for pair in pairs]):.1f} s",
                    ms(median([pair.own.first_audio_s for pair in pairs])),
                    ms(median([pair.english.first_audio_s for pair in pairs])),
                    f"{median(ratios):.2f} (p90 {percentile(ratios, 90):.2f})",
                    f"{median([_factor(pair.own) for pair in pairs]):.3f}",
                    f"{median([_factor(pair.english) for pair in pairs]):.3f}",
                    f"{median(factors):.2f}",
                ]
            )
    head = (
        "language (sentences)",
        "audio, median",
        "first audio",
        "English",
        "ratio, median",
        "real-time factor",
    )
    print(table((*head, "English", "ratio, median"), rows) + "\n\nGoal of both ratios: ≤ 1.1.\n", flush=True)


def start() -> None:
    """Print start to ready and memory, with the packages of the languages and without, in turn."""
    found: dict[str, list[tuple[float, int]]] = {"with the packages": [], "without them": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(WITHOUT_PACKAGES, encoding="utf-8")
        environments: Mapping[str, Mapping[str, str]] = {
            "with the packages": {},
            "without them": {"PYTHONPATH": folder},
        }
        for _, name in itertools.product(range(STARTS), found):
            with Server(**environments[name]) as server:
                found[name].append((server.start_s, server.memory_bytes()))
    rows = [
        [
            name,
            f"{median([seconds for seconds, _ in starts]):.2f} s",
            ", ".join(f"{seconds:.2f}" for seconds, _ in starts),
            mib(median([size for _, size in starts])),
        ]
        for name, starts in found.items()
    ]
    print(
        table(("all defaults", "start to ready, median", "all", "memory when ready"), rows) + "\n", flush=True
    )


async def _first_requests(url: str, language: str) -> Sequence[float]:
    """First audio of the first request of a language and of the same text twice more."""
    async with connected(url) as websocket:
        for text in ABOUT_4_S["en"][:WARM]:
            await request_speech(websocket, "en", text)
        text = LATER[language][0]
        return [(await request_speech(websocket, language, text)).first_audio_s for _ in range(3)]


def load() -> None:
    """Print what the first request of a language takes on top of later ones, and the memory it adds."""
    rows = []
    for language in LATER:
        cold, added = [], []
        for _ in range(STARTS):
            with Server("--engine", "kokoro") as server:
                wait_until_loaded(server, LITERT)
                before = server.memory_bytes()
                first_s, *later_s = asyncio.run(_first_requests(server.url, language))
                cold.append(first_s - min(later_s))
                added.append(server.memory_bytes() - before)
        rows.append([language, ms(median(cold)), ms(max(cold)), mib(median(added))])
    head = ("language", "first request on top of a later one, median", "most", "memory after five requests")
    print(table(head, rows) + "\n\nGoal: ≤ 1.5 s for zh and ja.\n", flush=True)


def size() -> None:
    """Print the installed size that the languages add."""
    sizes = {
        name: sum(
            Path(str(file.locate())).stat().st_size for file in files(name) or () if file.locate().exists()
        )
        for name in PACKAGES
    }
    cache = settings.load({}).cache_dir / "haqumei"
    sizes["the Japanese dictionary, unpacked"] = sum(
        file.stat().st_size for file in cache.rglob("*") if file.is_file()
    )
    voices = Voices()
    sizes["voices"] = (len(voices.all) - len(voices.mixed)) * VOICE_BYTES
    rows = [[name, f"{size / 1e6:.1f} MB"] for name, size in sizes.items()]
    rows.append(["together", f"{sum(sizes.values()) / 1e6:.1f} MB (goal: ≤ 180 MB)"])
    print(table(("what", "size"), rows) + "\n", flush=True)


def main() -> None:
    """Run the command line."""
    measure(
        "languages.costs",
        __doc__,
        "Cost of Chinese, Japanese and Hindi",
        {"first": first, "start": start, "load": load, "size": size},
    )


if __name__ == "__main__":
    main()
