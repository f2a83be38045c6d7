"""Engines and the recogniser of each name, as the composition builds them from the settings."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kani.composition.settings import Settings, load
from kani.composition.speech_service import Builder
from kani.core.errors import EngineUnavailable
from kani.engines.elevenlabs.engine import ElevenLabsEngine
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.plugin import KaniSettings
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import ENGINE_NAMES, RECOGNIZER_NAMES, Resources, found_engines, found_recognizers
from kani.engines.plugin_settings import PluginSettings
from kani.engines.pocket.plugin import PACKAGE as POCKET
from kani.engines.pocket.plugin import PocketSettings
from kani.engines.pocket.published import PUBLISHED
from kani.engines.registry import Engines
from kani.engines.voxcpm.plugin import VoxCPMSettings
from kani.runtime.packages.environment import LISTED
from tests.engines.cuda_driver import cuda_driver
from tests.runtime.test_hub import NO_HUB, use_hub
from tests.support.programs import python


def settings(folder: Path, **given: Any) -> Settings:
    return load({"cache_dir": str(folder), **given}, {}, folder / "none.env")


def engines(folder: Path, name: str, **given: Any) -> Engines:
    return Builder(settings(folder, engine=name, **given)).engines()


def kinds(found: Engines) -> list[str]:
    return [type(engine).__name__ for engine in found.required]


@pytest.mark.parametrize("fallback", ["none", "kokoro", "espeak"])
def test_settings_reach_elevenlabs_and_its_fallback(tmp_path: Path, fallback: str) -> None:
    given = {"api_key": "key", "voice_id": "voice", "model": "eleven_turbo_v2", "optimize_latency": 3}
    given |= {"url": "https://api.example"}
    chosen = {f"elevenlabs_{name}": value for name, value in given.items()}
    (engine,) = engines(tmp_path, "elevenlabs", fallback=fallback, **chosen).required
    assert isinstance(engine, ElevenLabsEngine)
    assert engine._settings == UpstreamSettings(**given)
    found = type(engine._fallback).__name__ if engine._fallback is not None else ""
    assert found == {"none": "", "kokoro": "KokoroEngine", "espeak": "EspeakEngine"}[fallback]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("kani_", "codec=c embedder=e", KaniSettings(codec="c", embedder="e")),
        ("pocket_", "languages=NL,de", PocketSettings(languages="NL,de")),
        ("voxcpm_", "denoiser=d", VoxCPMSettings(denoiser="d")),
        ("kyutai_", "", PluginSettings()),
        (
            "kokoro_",
            "student=only",
            KokoroSettings(student="only", accented=("de", "tr")),
        ),
    ],
)
def test_settings_reach_engines(tmp_path: Path, name: str, given: str, expected: object) -> None:
    own = dict(f"{name}{field}".removeprefix("kani_").split("=") for field in given.split())
    chosen = {"device": "cuda:1", "threads": 2, "precision": "int8", "max_concurrent": 3} | own
    chosen |= {"accented_languages": "de,TR", "models_dir": tmp_path, "fallback": "espeak"}
    chosen |= {"recognizer_model": "r", "engine_voices": "v", "pythons": "voxcpm=p,kyutai=q"}
    name = name.removesuffix("_")
    model = None if name == "kokoro" else "m"
    chosen |= {"model": model} if model else {}
    (engine,) = engines(tmp_path, name, **chosen).required
    assert type(engine) is {"kani": KaniEngine, "kokoro": KokoroEngine}.get(name, PackageEngine)
    assert engine._settings == expected
    folder = tmp_path if name == "kokoro" else tmp_path / name
    pythons = {"voxcpm": "p", "kyutai": "q"}
    assert replace(engine._resources, host=None) == Resources(
        *(folder, tmp_path, model, "v", pythons, True, 2, "cuda:1", "int8", 3, "espeak")
    )
    (defaults,) = engines(tmp_path, name, no_fetch=True).required
    assert defaults._settings == type(expected)()
    assert replace(defaults._resources, host=None) == Resources(folder)


@pytest.mark.parametrize("made", [True, False])
def test_pocket_joins_late_for_what_kokoro_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """Only with ``auto``, without CUDA, for the languages with weights here; nothing is fetched."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 0)
    # The model that is named is Kani's.
    given = {"model": "a-kani-model"} | ({} if made else {"pythons": "pocket=python"})

    def put(tag: str) -> None:
        published = PUBLISHED[tag]
        repository, _, revision = published.open.partition("@")
        cached = f"pocket/hub/models--{repository.replace('/', '--')}/snapshots/{revision}"
        path = tmp_path / cached / published.weights
        path.parent.mkdir(parents=True)
        path.touch()

    put("en")
    assert engines(tmp_path, "auto", **given).late is None
    put("nl")
    if made:
        assert engines(tmp_path, "auto").late is None, "the package is not here"
        its = tmp_path / "pocket" / "environment" / "bin" / "python"
        its.parent.mkdir(parents=True)
        its.touch()
        its.parents[1].joinpath(LISTED).write_text(POCKET.environment.packages, "utf-8")
    found = engines(tmp_path, "auto", **given)
    assert found.late[0] == "pocket" and isinstance(found.late[1], PackageEngine)
    assert found.late[1]._settings.languages == ("nl",)
    assert found.late[1]._resources.model is None and not found.late[1]._resources.may_fetch
    assert kinds(found) == ["KokoroEngine", "EspeakEngine"]
    assert engines(tmp_path, "auto", pocket_languages="en", **given).late is None
    assert engines(tmp_path, "kokoro", **{**given, "model": None}).late is None
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    assert engines(tmp_path, "auto", **given).late[0] == "kani"


@pytest.mark.parametrize(("given", "device"), [("auto", "cuda"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_kani_joins_late_where_there_is_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, device: str
) -> None:
    """Only with ``auto``, on the GPU unless another device was named."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    found = engines(tmp_path, "auto", device=given)
    name, engine = found.late
    assert isinstance(engine, KaniEngine)
    assert (name, engine._resources.device) == ("kani", device)
    assert kinds(found) == ["KokoroEngine", "EspeakEngine"]
    assert engines(tmp_path, "kokoro", device=given).late is None


@pytest.mark.parametrize(
    ("name", "given", "may_fetch"),
    [
        ("auto", {}, {"kani", "kokoro"}),
        ("kokoro", {}, {"kokoro"}),
        ("kani", {}, {"kani"}),
        ("auto", {"no_fetch": True}, set()),
        ("kokoro", {"no_fetch": True}, set()),
        ("kani", {"no_fetch": True}, set()),
    ],
)
def test_engine_files_are_fetched_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: dict[str, Any], may_fetch: set[str]
) -> None:
    """For an engine that is named, and for the Kani model on a GPU; never with no_fetch."""
    monkeypatch.setattr("kani.engines.kani.plugin.cuda_device_count", lambda: 1)
    found = engines(tmp_path, name, **given)
    late = [found.late[1]] if found.late is not None else []
    names = {KaniEngine: "kani", KokoroEngine: "kokoro"}
    of_models = [engine for engine in (*late, *found.required) if type(engine) in names]
    assert may_fetch == {names[type(engine)] for engine in of_models if engine._resources.may_fetch}


@pytest.mark.parametrize(
    ("name", "no_fetch", "reason"),
    [
        ("auto", False, "cannot be fetched from the model hub"),
        ("whisper", True, "is not fetched unasked"),
    ],
)
async def test_named_recogniser_model_is_fetched_unless_nothing_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, no_fetch: bool, reason: str
) -> None:
    use_hub(monkeypatch, NO_HUB)
    chosen = settings(tmp_path, no_fetch=no_fetch, recognizer=name, recognizer_model="owner/name")
    recognizer = Builder(chosen).recognizer()
    assert not recognizer.info.languages
    with pytest.raises(EngineUnavailable, match=f"^KANI_RECOGNIZER_MODEL: owner/name .*{reason}"):
        await recognizer.start()


def test_everything_describes_itself_and_devices_are_counted_without_torch(tmp_path: Path) -> None:
    # The one of workers is known once one of them is reached.
    for name in {*RECOGNIZER_NAMES} - {"remote"}:
        chosen = settings(tmp_path, recognizer=name, recognizer_model="owner/name")
        assert (Builder(chosen).recognizer() is None) is (name == "none")
    for name in ("auto", "whisper"):
        info = Builder(settings(tmp_path, recognizer=name)).recognizer().info
        assert (info.name, info.sample_rate, len(info.languages)) == ("whisper", 16_000, 99)
        assert {"es", "en", "fr", "jv", "yi"} <= info.languages
    for found in (found_engines(), found_recognizers()):
        assert not found.broken
    assert {"auto", *found_engines().plugins, "remote"} == {*ENGINE_NAMES}
    assert {"auto", *found_recognizers().plugins, "remote", "none"} == {*RECOGNIZER_NAMES}
    code = "import sys; from kani.engines.kani.plugin import cuda_device_count as count\n"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(cuda_driver(tmp_path, devices=2))}
    counted = python("-c", f"{code}print(count(), 'torch' in sys.modules)", env=environment)
    assert counted.stdout == "2 False\n"


@pytest.mark.parametrize("name", ["espeak", pytest.param("auto", marks=pytest.mark.server)])
def test_start_imports_nothing_of_the_engines_that_are_not_chosen(cache: Path, name: str) -> None:
    """Nor of the workers, nor of a recogniser that is not started."""
    code = (
        "import asyncio, sys; from kani.engines.plugin import found_engines, found_recognizers\n"
        "found_engines(); found_recognizers(); described = {*sys.modules}\n"
        "assert not {'numpy', 'prometheus_client'} & described\n"
        "from kani.composition.settings import load\n"
        "from kani.core.types import Segment\n"
        "from kani.composition.speech_service import Builder\n"
        f"chosen = load({{'engine': {name!r}, 'cache_dir': {str(cache)!r}}}, {{}})\n"
        "async def start():\n"
        "    for engine in Builder(chosen).engines().required:\n"
        "        await engine.start()\n"
        "        voice, language = engine.info.default_voices['es'], 'es'\n"
        "        assert [chunk async for chunk in engine.synthesize(Segment('Hola.', voice, language))]\n"
        "        await engine.stop()\n"
        "Builder(chosen).recognizer(); asyncio.run(start())\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in {*sys.modules} - described if name.startswith('kani.engines.')))"
    )
    libraries, modules = (set(line.split()) for line in python("-c", code).stdout.splitlines())
    packages = {name.split(".")[2] for name in modules}
    assert "espeak" in packages and ("kokoro" in packages) is (name == "auto")
    assert not packages & {"kani", "kyutai", "pocket", "voxcpm", "remote", "worker"}
    assert not libraries & {"torch", "transformers", "safetensors", "voxcpm", "pocket_tts", "ctranslate2"}
    assert not libraries & {*"onnx scipy numba phonemizer misaki kokoro_onnx pypinyin rjieba haqumei".split()}
    assert name == "auto" or not libraries & {"onnxruntime", "tokenizers"}
