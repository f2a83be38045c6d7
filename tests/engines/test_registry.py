"""Engines and the recogniser of each name, as the composition builds them from the settings."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from kani.core.errors import EngineUnavailable
from kani.engines.elevenlabs.engine import ElevenLabsEngine
from kani.engines.elevenlabs.settings import UpstreamSettings
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.settings import KaniSettings
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.speech.engine import KyutaiEngine
from kani.engines.plugin import ENGINE_NAMES, RECOGNIZER_NAMES, Resources, found_engines, found_recognizers
from kani.engines.pocket.engine import PocketEngine
from kani.engines.pocket.published import PUBLISHED
from kani.engines.pocket.settings import PocketSettings
from kani.engines.registry import Engines
from kani.engines.voxcpm.engine import VoxCPMEngine
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.runtime import weights
from kani.server.settings import Settings, load
from kani.server.speech_service import build_engines, build_recognizer
from tests.engines.cuda_driver import cuda_driver

ROOT = Path(__file__).parents[2]


def settings(folder: Path, **given: Any) -> Settings:
    return load({"cache_dir": str(folder), **given}, {}, folder / "none.env")


def engines(folder: Path, name: str, *, fetch_requested: bool = False, **given: Any) -> Engines:
    chosen = settings(folder, engine=name, **given)
    return build_engines(chosen, CollectorRegistry(), fetch_requested=fetch_requested)


def kinds(found: Engines) -> list[str]:
    return [type(engine).__name__ for engine in found.required]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", ["KokoroEngine", "EspeakEngine"]),
        ("kokoro", ["KokoroEngine"]),
        ("espeak", ["EspeakEngine"]),
        ("kani", ["KaniEngine"]),
        ("pocket", ["PocketEngine"]),
        ("voxcpm", ["VoxCPMEngine"]),
        ("kyutai", ["KyutaiEngine"]),
        ("elevenlabs", ["ElevenLabsEngine"]),
    ],
)
def test_name_gives_its_engines_in_order(tmp_path: Path, name: str, expected: list[str]) -> None:
    assert kinds(engines(tmp_path, name)) == expected


@pytest.mark.parametrize("fallback", ["none", "kokoro", "espeak"])
def test_settings_reach_elevenlabs_and_its_fallback(tmp_path: Path, fallback: str) -> None:
    given = {
        "elevenlabs_api_key": "key",
        "elevenlabs_voice_id": "voice",
        "elevenlabs_model": "eleven_turbo_v2",
        "elevenlabs_optimize_latency": 3,
        "elevenlabs_url": "https://api.example",
        "elevenlabs_fallback": fallback,
    }
    (engine,) = engines(tmp_path, "elevenlabs", **given).required
    assert isinstance(engine, ElevenLabsEngine)
    assert engine._settings == UpstreamSettings(
        api_key="key",
        voice_id="voice",
        model="eleven_turbo_v2",
        optimize_latency=3,
        url="https://api.example",
        fallback=fallback,
    )
    found = type(engine._fallback.engine).__name__ if engine._fallback is not None else ""
    assert found == {"none": "", "kokoro": "KokoroEngine", "espeak": "EspeakEngine"}[fallback]


def test_settings_reach_kani_and_kokoro(tmp_path: Path) -> None:
    (kani,) = engines(
        tmp_path, "kani", model="m", codec="c", embedder="e", precision="int8", slots=3, threads=5
    ).required
    (kokoro,) = engines(
        tmp_path,
        "kokoro",
        models_dir=tmp_path,
        threads=5,
        kokoro_decoder="onnx",
        kokoro_student="only",
        accented_languages="de,TR",
    ).required
    assert isinstance(kani, KaniEngine) and isinstance(kokoro, KokoroEngine)
    assert kani._settings == KaniSettings(model="m", codec="c", embedder="e", slots=3)
    resources = Resources(tmp_path / "kani", may_fetch=True, threads=5, precision="int8")
    assert replace(kani._resources, host=None) == resources
    assert kokoro._settings == KokoroSettings(decoder="onnx", student="only", accented=("de", "tr"))
    assert replace(kokoro._resources, host=None) == Resources(tmp_path, tmp_path, may_fetch=True, threads=5)


def test_settings_reach_pocket(tmp_path: Path) -> None:
    given = {"pocket_languages": "NL,de", "pocket_model": "m", "pocket_precision": "int8", "pocket_slots": 3}
    (pocket,) = engines(tmp_path, "pocket", threads=2, **given).required
    assert isinstance(pocket, PocketEngine)
    assert pocket._settings == PocketSettings(languages="NL,de", model="m", precision="int8", slots=3)
    resources = Resources(tmp_path / "pocket", may_fetch=True, threads=2)
    assert replace(pocket._resources, host=None) == resources
    (defaults,) = engines(tmp_path, "pocket", no_fetch=True).required
    assert isinstance(defaults, PocketEngine) and defaults._settings == PocketSettings()
    assert replace(defaults._resources, host=None) == replace(resources, may_fetch=False, threads=None)


def test_settings_reach_voxcpm(tmp_path: Path) -> None:
    given = {"voxcpm_python": "p", "voxcpm_model": "m", "voxcpm_denoiser": "d", "device": "cuda:1"}
    (voxcpm,) = engines(tmp_path, "voxcpm", **given).required
    assert isinstance(voxcpm, VoxCPMEngine)
    assert voxcpm._settings == VoxCPMSettings(python="p", model="m", denoiser="d")
    assert (voxcpm._resources.device, voxcpm._resources.may_fetch) == ("cuda:1", True)
    (defaults,) = engines(tmp_path, "voxcpm", no_fetch=True).required
    assert isinstance(defaults, VoxCPMEngine) and defaults._settings == VoxCPMSettings()


def test_settings_reach_kyutais_text_to_speech(tmp_path: Path) -> None:
    given = {
        "kyutai_python": "p",
        "kyutai_model": "m",
        "kyutai_voices": "v",
        "kyutai_cfg": 3,
        "kyutai_slots": 5,
    }
    (kyutai,) = engines(tmp_path, "kyutai", recognizer_model="r", device="cuda:1", **given).required
    assert isinstance(kyutai, KyutaiEngine)
    assert kyutai._settings == KyutaiSettings(
        python="p", speech_model="m", voices="v", cfg=3.0, speech_slots=5, model="r"
    )
    assert (kyutai._resources.device, kyutai._resources.may_fetch) == ("cuda:1", True)


@pytest.mark.parametrize("fetched", [True, False])
def test_pocket_joins_late_for_what_kokoro_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetched: bool
) -> None:
    """Only with ``auto``, without CUDA, for the languages with weights here; nothing is fetched."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 0)
    given = {} if fetched else {"pocket_model": str(tmp_path / "own")}

    def put(tag: str) -> None:
        published = PUBLISHED[tag]
        repository, revision = published.sources[1]
        cached = f"pocket/hub/models--{repository.replace('/', '--')}/snapshots/{revision}"
        path = tmp_path / (cached if fetched else "own") / published.weights
        path.parent.mkdir(parents=True)
        path.touch()

    put("en")
    assert engines(tmp_path, "auto", **given).late is None
    put("nl")
    found = engines(tmp_path, "auto", **given)
    assert found.late is not None and found.late[0] == "pocket"
    assert isinstance(found.late[1], PocketEngine)
    assert found.late[1]._settings.languages == ("nl",) and not found.late[1]._resources.may_fetch
    assert kinds(found) == ["KokoroEngine", "EspeakEngine"]
    assert engines(tmp_path, "auto", pocket_languages="en", **given).late is None
    assert engines(tmp_path, "kokoro", **given).late is None
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    found = engines(tmp_path, "auto", **given)
    assert found.late is not None and found.late[0] == "kani"


async def test_elevenlabs_without_a_key_names_the_cure(tmp_path: Path) -> None:
    (engine,) = engines(tmp_path, "elevenlabs").required
    with pytest.raises(EngineUnavailable, match=r"ELEVEN_API_KEY.*--engine auto"):
        await engine.start()


@pytest.mark.parametrize(("given", "device"), [("auto", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_kani_joins_late_where_there_is_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, device: str
) -> None:
    """Only with ``auto``, on the GPU unless another device was named."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 0)
    assert engines(tmp_path, "auto", device=given).late is None
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    found = engines(tmp_path, "auto", device=given)
    assert found.late is not None
    name, engine = found.late
    assert isinstance(engine, KaniEngine)
    assert (name, engine._resources.device) == ("kani", device)
    assert kinds(found) == ["KokoroEngine", "EspeakEngine"]
    assert engines(tmp_path, "kokoro", device=given).late is None


@pytest.mark.parametrize(
    ("name", "fetch_requested", "no_fetch", "may_fetch"),
    [
        ("auto", False, False, {"kani"}),
        ("auto", True, False, {"kani", "kokoro"}),
        ("kokoro", False, False, {"kokoro"}),
        ("kani", False, False, {"kani"}),
        ("auto", True, True, set()),
        ("kokoro", False, True, set()),
        ("kani", False, True, set()),
    ],
)
def test_engine_files_are_fetched_on_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    fetch_requested: bool,
    no_fetch: bool,
    may_fetch: set[str],
) -> None:
    """By --fetch, for an engine that is named, and for the Kani model on a GPU; never with no_fetch."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    found = engines(tmp_path, name, fetch_requested=fetch_requested, no_fetch=no_fetch)
    late = [found.late[1]] if found.late is not None else []
    names = {KaniEngine: "kani", KokoroEngine: "kokoro"}
    assert may_fetch == {
        names[type(engine)]
        for engine in (*late, *found.required)
        if type(engine) in names and engine._resources.may_fetch
    }


@pytest.mark.parametrize(
    ("name", "fetch_requested", "no_fetch", "may_fetch"),
    [
        ("auto", False, False, False),
        ("auto", True, False, True),
        ("whisper", False, False, True),
        ("whisper", True, True, False),
    ],
)
async def test_recogniser_files_are_fetched_on_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    fetch_requested: bool,
    no_fetch: bool,
    may_fetch: bool,
) -> None:
    unreachable = tuple(
        replace(weight, parts=(), url="http://127.0.0.1:1/model") for weight in weights.WHISPER_BASE
    )
    monkeypatch.setattr(weights, "WHISPER_BASE", unreachable)
    chosen = settings(tmp_path, no_fetch=no_fetch)
    recognizer = build_recognizer(name, chosen, fetch_requested=fetch_requested)
    assert recognizer is not None
    reason = "could not be fetched" if may_fetch else "nothing is fetched unasked"
    with pytest.raises(EngineUnavailable, match=rf"whisper-base/model\.bin .*{reason}"):
        await recognizer.start()


def test_recogniser_info_is_known_before_the_start(tmp_path: Path) -> None:
    # The one of workers is known once one of them is reached.
    names = {*RECOGNIZER_NAMES} - {"remote"}
    found = {name: build_recognizer(name, settings(tmp_path)) for name in names}
    assert found["none"] is None
    for name in ("auto", "whisper"):
        recognizer = found[name]
        assert recognizer is not None
        assert recognizer.info.name == "whisper"
        assert recognizer.info.sample_rate == 16_000
        assert {"es", "en", "fr", "jv", "yi"} <= recognizer.info.languages
        assert len(recognizer.info.languages) == 99


def test_every_engine_and_recogniser_of_this_package_describes_itself() -> None:
    for found in (found_engines(), found_recognizers()):
        assert not found.broken
    assert {"auto", *found_engines().plugins, "remote"} == {*ENGINE_NAMES}
    assert {"auto", *found_recognizers().plugins, "remote", "none"} == {*RECOGNIZER_NAMES}


def test_cuda_devices_are_counted_without_torch(tmp_path: Path) -> None:
    code = "import sys; from kani.engines.kani.cuda_driver import cuda_device_count as count\n"
    counted = subprocess.run(
        [sys.executable, "-c", f"{code}print(count(), 'torch' in sys.modules)"],
        env={**os.environ, "LD_LIBRARY_PATH": str(cuda_driver(tmp_path, devices=2))},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert counted.stdout == "2 False\n"


def test_model_libraries_are_imported_only_when_needed() -> None:
    """espeak and a recogniser that is not started load neither onnxruntime, torch nor ctranslate2.

    Nor is anything of the workers loaded, or started, without the settings that ask for one.
    """
    code = (
        "import sys; from prometheus_client import CollectorRegistry\n"
        "from kani.server.settings import load\n"
        "from kani.server.speech_service import build_engines, build_recognizer\n"
        "chosen = load({'engine': 'espeak'}, {})\n"
        "build_engines(chosen, CollectorRegistry()); build_recognizer('auto', chosen)\n"
        "libraries = {'onnxruntime', 'torch', 'ctranslate2', 'faster_whisper', 'tokenizers'}\n"
        "assert not {*libraries, 'kani.engines.kokoro.engine'} & set(sys.modules)\n"
        "processes = ('kani.engines.remote', 'kani.engines.worker')\n"
        "assert not [name for name in sys.modules if name.startswith(processes)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.server
@pytest.mark.parametrize("name", ["espeak", "auto"])
def test_start_imports_nothing_of_the_engines_that_are_not_chosen(cache: Path, name: str) -> None:
    code = (
        "import asyncio, sys; from kani.engines.plugin import found_engines, found_recognizers\n"
        "found_engines(); found_recognizers(); described = {*sys.modules}\n"
        "assert not {'numpy', 'prometheus_client'} & described\n"
        "from prometheus_client import CollectorRegistry\n"
        "from kani.server.settings import load; from kani.core.engine import BackgroundLoadingEngine\n"
        "from kani.server.speech_service import build_engines, build_recognizer\n"
        f"chosen = load({{'engine': {name!r}, 'cache_dir': {str(cache)!r}}}, {{}})\n"
        "async def start():\n"
        "    for engine in build_engines(chosen, CollectorRegistry()).required:\n"
        "        await engine.start()\n"
        "        if isinstance(engine, BackgroundLoadingEngine): await engine.wait_until_loaded()\n"
        "        await engine.stop()\n"
        "build_recognizer(chosen.recognizer, chosen); asyncio.run(start())\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in {*sys.modules} - described if name.startswith('kani.engines.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    libraries, modules = (set(line.split()) for line in done.stdout.splitlines())
    packages = {name.split(".")[2] for name in modules}
    assert "espeak" in packages and ("kokoro" in packages) is (name == "auto")
    assert not packages & {"kani", "kyutai", "moonshine", "pocket", "voxcpm", "remote", "worker"}
    assert not libraries & {"torch", "transformers", "safetensors", "voxcpm", "pocket_tts"}
