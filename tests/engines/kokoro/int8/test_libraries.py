"""The fast decoder's libraries in a process that does other things: hears, keeps files, loads twice."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engines.kokoro.int8.loader import gentle_imports

ROOT = Path(__file__).parents[4]

# In processes of their own: what is imported before what decides.
LOADED = """
import sys
from pathlib import Path
from engines import weights
from engines.kokoro.network import parts_cache
from engines.kokoro.decoder_choice import load_fast
from speech.errors import EngineUnavailable
cache = Path(sys.argv[1])
part = parts_cache.load(weights.load(weights.KOKORO, models_dir=None, cache_dir=cache), Path(sys.argv[2]))
try:
    fast = load_fast(part, cache, 2)
except EngineUnavailable as error:
    print("unfit:", error)
    sys.exit(0)
"""
HEARD = (
    LOADED
    + """
from engines.espeak.client import EspeakLibrary
from engines.kokoro.text.espeak_ipa import sayer
from engines.kokoro.network.onnx_model import Stop
from engines.kokoro.network.parts import PartedModel
from engines.kokoro.text.phonemes import utterances
from engines.kokoro.synthesizer import WindowSpeaker
from engines.kokoro.network.norm_statistics import Statistics
from engines.kokoro.voices import Voices
from speech.types import Segment
from tests.judges.judge import hear, word_error_rate
import numpy as np
TEXT = "El barco azul salió del puerto muy temprano."
model = PartedModel(part, 2)
model.decoder = fast
speaker = WindowSpeaker(model, Voices(), Statistics([voice.id for voice in Voices().all]))
(utterance,) = utterances(TEXT, sayer(EspeakLibrary.shared(), "es"), ending=".")
pieces = speaker.say(utterance, Segment(TEXT, "ef_dora", "es"), Stop())
samples = np.concatenate([piece.samples for piece in pieces])
heard = hear(samples, 24000, "es")
print(heard, word_error_rate(TEXT, heard, "es"))
"""
)


def run(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    run(LOADED, folder, folder)
    return folder


@pytest.mark.slow
def test_who_listens_hears_as_before(cache: Path) -> None:
    done = run(HEARD, cache, cache).stdout
    assert done.startswith("unfit") or float(done.split()[-1]) <= 0.15, done


@pytest.mark.slow
def test_weights_are_packed_by_others(cache: Path) -> None:
    done = run(LOADED + "print('onnx' in sys.modules)", cache, cache).stdout
    assert done == "False\n" or done.startswith("unfit")


@pytest.mark.slow
def test_torn_kernels_are_compiled_anew(cache: Path) -> None:
    kept = sorted(cache.rglob("*.nb?"))
    torn = [path for path in kept if path.suffix == ".nbc"][1:] + kept[-1:]
    if not torn:
        pytest.skip("this machine is not fit for the fast decoder")
    for path in torn:
        path.write_bytes(path.read_bytes()[:-40])
    assert run(LOADED, cache, cache).stdout == ""
    assert run(LOADED, cache, cache).stdout == ""


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_lived_with(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    done = run(LOADED, file / "cache", cache).stdout
    assert done == "" or "AVX2" in done
    assert list(tmp_path.iterdir()) == [file]


def test_imports_pause_between_two_modules() -> None:
    code = (
        "import sys, threading\n"
        "from engines.kokoro.int8.loader import loading_gently\n"
        "before, paused = list(sys.meta_path), []\n"
        "with loading_gently(lambda: paused.append(threading.get_ident())):\n"
        "    other = threading.Thread(target=__import__, args=('llvmlite',))\n"
        "    other.start()\n"
        "    other.join()\n"
        "    assert not paused\n"
        "    import numba\n"
        "print(len(paused) > 100, set(paused) == {threading.get_ident()}, sys.meta_path == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "True True True\n"


def test_two_that_load_at_once_leave_everything_as_it_was() -> None:
    interval = sys.getswitchinterval()
    both = threading.Barrier(2, timeout=300)

    def load() -> None:
        both.wait()
        with gentle_imports():
            assert not gc.isenabled()

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.isenabled() and sys.getswitchinterval() == interval
    gc.unfreeze()
