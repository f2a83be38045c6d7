"""Every parser, with thousands of wrong inputs: nothing comes out but what is documented.

``FUZZ_INPUTS`` says how many inputs each parser gets (2,000), ``FUZZ_SEED`` which (0).
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.voices.catalogue import VoiceStore
from tests.fuzzing import files, messages
from tests.fuzzing.mutator import Mutator
from tests.fuzzing.row import Row
from tests.support.tone import ToneEngine

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000"))
SEED = os.environ.get("FUZZ_SEED", "0")

LONGEST_S = 5.0
"""Of a processor, for one input of a few kilobytes: a guard, most take less than a millisecond."""

MOST_BYTES = 96 << 20
"""By which a row may raise the memory that the process has ever had."""

NAMES = """
kani message|kani body|voxcpm message|kyutai to speak|kyutai to hear|kyutai query|kyutai body
kyutai voice payload|elevenlabs body|elevenlabs message|elevenlabs query|elevenlabs form|voices form
relay message|accept-language|livekit token|recording|ogg opus stream|markup|segmenter|normalizer|lexicon
language|.env|elevenlabs answer|client|client's voices|kept voice|embedding|config.json|codec config|nemo
safetensors
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Row]]:
    """All rows, by their names."""
    folder = tmp_path_factory.mktemp("fuzzing")
    loop = asyncio.new_event_loop()
    service = SpeechService(
        [ToneEngine()],
        VoiceStore(folder / "data"),
        Limits(),
        default_language="es",
        default_voice=None,
        observer=Observer(),
    )
    loop.run_until_complete(service.start())
    yield {row.name: row for row in [*messages.rows(service, loop), *files.rows(folder)]}
    loop.run_until_complete(service.stop())
    loop.close()


def held() -> tuple[int, int]:
    """How many files and threads this process has."""
    return len([*Path("/proc/self/fd").iterdir()]), threading.active_count()


# Starlette leaves it to Python to close what it holds, in memory, of a part that breaks off.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", [name for line in NAMES.split("\n") for name in line.split("|") if name])
def test_nothing_comes_out_but_what_is_documented(table: dict[str, Row], name: str) -> None:
    """No other error, no endless work, no memory without end, no file and no thread left open."""
    row = table[name]
    mutator = Mutator(f"{SEED}/{name}")
    for sample in row.samples:
        row.make(Mutator("warm"), sample)
    gc.collect()
    files_before, most_before = held(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(round(INPUTS * row.share)):
        given = row.make(mutator, row.samples[number % len(row.samples)])
        began = time.thread_time()
        try:
            row.read(given)
        except row.errors as error:
            # It is what clients read, and goes to them as UTF-8.
            str(error).encode(errors="surrogatepass")
        except Exception as error:
            pytest.fail(f"input {number} of {name}: {type(error).__name__}: {error!r:.300}\n{given!r:.500}")
        took = time.thread_time() - began
        assert took < LONGEST_S, f"input {number} of {name} took {took:.1f} s"
    gc.collect()
    assert all(now <= before for now, before in zip(held(), files_before, strict=True))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_before) * 1024
    assert grown < MOST_BYTES


def test_every_row_is_fuzzed(table: dict[str, Row]) -> None:
    """The names above are those of the rows."""
    assert set(table) == {name for line in NAMES.split("\n") for name in line.split("|") if name}
