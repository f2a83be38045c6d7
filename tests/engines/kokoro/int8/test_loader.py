"""Loading the int8 decoder: imports, caches, and the other work of the process."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engines.kokoro.int8.loader import gentle_imports
from engines.kokoro.network.parts import LoadPart
from tests.support.kokoro import copy_cache, is_built
from tests.support.patience import WITHIN_S

ROOT = Path(__file__).parents[4]

# In processes of their own: what is imported before what decides.
LOADED = """
import sys
from pathlib import Path
from engines import weights
from engines.kokoro.network import parts_cache
from engines.kokoro.decoder_choice import load_int8_decoder
from speech.errors import EngineUnavailable
cache = Path(sys.argv[1])
part = parts_cache.load(weights.load(weights.KOKORO, models_dir=None, cache_dir=cache), Path(sys.argv[2]))
try:
    fast = load_int8_decoder(part, cache, 2)
except EngineUnavailable as error:
    print("unavailable:", error)
    sys.exit(0)
"""
HEARD = (
    LOADED
    + """
from engines.kokoro.network.onnx_model import Stop
from engines.kokoro.network.parts import SplitModel
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.voices import Voices
from speech.types import Segment
from tests.judges.judge import hear, word_error_rate
from tests.support.kokoro import one_utterance
import numpy as np
TEXT = "El barco azul salió del puerto muy temprano."
model = SplitModel(part, 2)
model.decoder = fast
statistics = StatisticsTable([voice.id for voice in Voices().all])
synthesizer = WindowedSynthesizer(model, Voices(), statistics)
pieces = synthesizer.synthesize(one_utterance(TEXT, "es"), Segment(TEXT, "ef_dora", "es"), Stop())
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
    )


@pytest.fixture(scope="module")
def copied(cache: Path, part: LoadPart, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared cache folder, copied: complete where the int8 decoder is available."""
    is_built(cache, part)
    return copy_cache(cache, tmp_path_factory.mktemp("copied") / "cache")


@pytest.mark.heard
def test_recogniser_works_beside_torch(copied: Path) -> None:
    done = run(HEARD, copied, copied).stdout
    assert done.startswith("unavailable") or float(done.split()[-1]) <= 0.15, done


@pytest.mark.heard
def test_onnx_is_not_imported_by_loading_process(copied: Path) -> None:
    done = run(LOADED + "print('onnx' in sys.modules)", copied, copied).stdout
    assert done == "False\n" or done.startswith("unavailable")


@pytest.mark.heard
def test_truncated_kernels_are_compiled_again(copied: Path) -> None:
    kept = sorted(copied.rglob("*.nb?"))
    torn = [path for path in kept if path.suffix == ".nbc"][1:] + kept[-1:]
    if not torn:
        pytest.skip("the int8 decoder is unavailable on this machine")
    for path in torn:
        path.write_bytes(path.read_bytes()[:-40])
    assert run(LOADED, copied, copied).stdout == ""
    assert run(LOADED, copied, copied).stdout == ""


@pytest.mark.heard
def test_unwritable_cache_is_replaced_by_memory(copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    done = run(LOADED, file / "cache", copied).stdout
    assert done == "" or "AVX2" in done
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.server
def test_imports_pause_between_modules() -> None:
    code = (
        "import sys, threading\n"
        "from engines.kokoro.int8.loader import gentle_imports\n"
        "before, paused = list(sys.meta_path), []\n"
        "with gentle_imports(lambda: paused.append(threading.get_ident())):\n"
        "    other = threading.Thread(target=__import__, args=('llvmlite',))\n"
        "    other.start()\n"
        "    other.join()\n"
        "    assert not paused\n"
        "    import numba\n"
        "print(len(paused) > 100, set(paused) == {threading.get_ident()}, sys.meta_path == before)\n"
    )
    done = run(code)
    assert done.stdout == "True True True\n"


def test_concurrent_gentle_imports_restore_interpreter_settings() -> None:
    interval = sys.getswitchinterval()
    both = threading.Barrier(2, timeout=WITHIN_S)

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


@pytest.mark.server
def test_shared_libraries_are_opened_before_imports() -> None:
    if sys.platform != "linux":
        pytest.skip("libraries are opened ahead on Linux only")
    code = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from engines.kokoro.int8.loader import gentle_imports\n"
        "with gentle_imports():\n"
        "    opened = Path('/proc/self/maps').read_text()\n"
        "    print('libtorch_cpu.so' in opened, 'libllvmlite.so' in opened)\n"
        "    print({'torch', 'llvmlite', 'numba'} & sys.modules.keys())\n"
        "    import torch\n"
    )
    done = run(code)
    assert done.stdout.splitlines() == ["True True", "set()"]


def test_gentle_imports_restores_interpreter_settings() -> None:
    interval, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    left = [[number] for number in range(1000)]
    with pytest.raises(ImportError), gentle_imports():
        assert not gc.isenabled() and sys.getswitchinterval() < interval
        raise ImportError
    assert gc.isenabled() and sys.getswitchinterval() == interval
    assert gc.get_freeze_count() >= frozen + len(left)


@pytest.mark.server
def test_machine_check_compiles_no_kernels() -> None:
    code = (
        "import sys\n"
        "from engines.kokoro.int8.loader import check_machine\n"
        "from engines.kokoro.network.decoder import DecoderUnavailable\n"
        "try:\n"
        "    check_machine()\n"
        "except DecoderUnavailable:\n"
        "    pass\n"
        "print('torch' in sys.modules, 'numba' in sys.modules)\n"
    )
    assert run(code).stdout == "True False\n"
