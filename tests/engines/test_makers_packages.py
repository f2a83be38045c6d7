"""Engines that run their makers' packages, Kyutai's and VoxCPM's: why they cannot start, with the cure."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.request import Range
from kani.engines.kyutai import plugin as kyutai
from kani.engines.kyutai import published as kyutai_published
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.engine import PackageEngine
from kani.engines.plugin import Resources
from kani.engines.pocket import published as pocket_published
from kani.engines.pocket.plugin import find as find_pocket
from kani.engines.pocket.settings import PocketSettings
from kani.engines.voxcpm import published as voxcpm_published
from kani.engines.voxcpm.parameters import Parameters
from kani.engines.voxcpm.plugin import PACKAGE as VOXCPM
from kani.engines.voxcpm.plugin import find as find_voxcpm
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.protocols.voxcpm.params import RANGES
from kani.runtime.hub import Hub as HubFiles
from kani.text.languages import resolve
from tests.engines.checkpoints import Damage, changed, cut, edited, removed, tampered
from tests.engines.packages.small_checkpoints import CONFIG, tensor_file, written
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub

ROOT = Path(__file__).parents[2]


def checked(family: str, folder: Path) -> object:
    if family == "pocket":
        return find_pocket(PocketSettings(languages=("de",), model=str(folder)), Resources(folder))
    if family == "voxcpm":
        return find_voxcpm(VoxCPMSettings(model=str(folder)), Resources(folder))
    if family == "kyutai-ears":
        return kyutai.find_hearing(KyutaiSettings(model=str(folder)), Resources(folder))
    settings = KyutaiSettings(speech_model=str(folder), voices=str(folder))
    return kyutai.find_speech(settings, Resources(folder))


def engine_of(family: str, folder: Path, python: str | None = None) -> Engine:
    if family == "kyutai":
        settings = KyutaiSettings(speech_model=str(folder), voices=str(folder), python=python)
        return kyutai.SPEECH.engine(settings, Resources(folder))
    return PackageEngine(VOXCPM, VoxCPMSettings(model=str(folder), python=python), Resources(folder))


def test_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    folder = written(tmp_path, "kyutai")
    voice = folder / "fr" / "ana.wav.1e68beda@240.safetensors"
    voice.parent.mkdir()
    voice.write_bytes(tensor_file())
    files = {
        "config_path": str(folder / CONFIG),
        "moshi_weights": str(folder / "dsm_tts.safetensors"),
        "mimi_weights": str(folder / "mimi.safetensors"),
        "tokenizer": str(folder / "tokenizer.model"),
    }
    assert checked("kyutai", folder) == {
        "files": files,
        "version": "checkpoint.1e68beda@240",
        "voices": {"fr/ana.wav": str(voice)},
    }
    (tmp_path / "ears").mkdir()
    folder = written(tmp_path / "ears", "kyutai-ears")
    assert checked("kyutai-ears", folder) == {
        "files": {name: path.replace("/checkpoint/", "/ears/checkpoint/") for name, path in files.items()},
        "version": "checkpoint",
        "languages": ["en", "fr"],
        "before_s": 0.0,
        "text_s": 0.5,
    }
    (tmp_path / "other").mkdir()
    folder = written(tmp_path / "other", "voxcpm")
    assert checked("voxcpm", folder) == {
        "folder": str(folder),
        "denoiser": None,
        "architecture": "voxcpm2",
        "recording_rate": 16_000,
    }


GERMAN = "languages/german"
DAMAGES: dict[str, list[tuple[Damage, str]]] = {
    "pocket": [
        (removed(f"{GERMAN}/model.safetensors"), r"model\.safetensors is not there: KANI_POCKET_MODEL has"),
        (removed(f"{GERMAN}/tokenizer.json"), r"tokenizer\.json is not there"),
        (cut(f"{GERMAN}/model.safetensors"), r"model\.safetensors is not a whole safetensors file"),
        (tampered(f"{GERMAN}/tokenizer.json"), r"tokenizer\.json fails its SHA-256"),
        (removed(f"{GERMAN}/embeddings/juergen.safetensors"), r"has no voice: put one into .*embeddings/"),
    ],
    "kyutai": [
        (edited(CONFIG, tts_config=...), r"config\.json is not of a text-to-speech .*tts_config is missing"),
        (
            edited(CONFIG, conditioners=...),
            r"config\.json is not of a text-to-speech .*conditioners is missing",
        ),
        (
            edited(CONFIG, tts_config={"audio_delay": 1.28, "multistream": True}),
            r"config\.json is of a model for two speakers",
        ),
        (edited(CONFIG, model_id=...), r"config\.json has no model_id"),
        (changed(CONFIG, "{"), r"config\.json is not JSON"),
        (edited(CONFIG, mimi_name="../mimi.safetensors"), r"no file '\.\./mimi\.safetensors'"),
        (removed("mimi.safetensors"), r"no file 'mimi\.safetensors'"),
        (cut("dsm_tts.safetensors"), r"dsm_tts\.safetensors is not a whole safetensors file"),
    ],
    "kyutai-ears": [
        (edited(CONFIG, stt_config=...), r"no stt_config with audio_silence_prefix_seconds from 0 to 10"),
        (
            edited(CONFIG, stt_config={"audio_silence_prefix_seconds": 0, "audio_delay_seconds": -1}),
            r"no stt_config with audio_delay_seconds from 0 to 10",
        ),
        (removed("tokenizer.model"), r"no file 'tokenizer\.model'"),
        (tampered("dsm_tts.safetensors"), r"dsm_tts\.safetensors fails its SHA-256"),
    ],
    "voxcpm": [
        (changed(CONFIG, '{"model_type": "llama"}'), r"config\.json is of another architecture .*lm_"),
        (edited(CONFIG, architecture="voxcpm9"), r"config\.json is of another architecture .*voxcpm9"),
        (changed(CONFIG, "{"), r"config\.json is not JSON"),
        (changed(CONFIG, "[]"), r"config\.json is not a configuration"),
        (edited(CONFIG, audio_vae_config={"sample_rate": "x"}), r"config\.json has no valid sample_rate"),
        (cut("model.safetensors"), r"model\.safetensors is not a whole safetensors file"),
        (changed("model.safetensors", "<html>not found</html>"), r"model\.safetensors is not a whole"),
        (tampered("model.safetensors"), r"model\.safetensors fails its SHA-256"),
        (removed("audiovae.pth"), r"no audiovae\.safetensors and no audiovae\.pth"),
        (removed("tokenizer.json"), r"no tokenizer\.json"),
        (removed(CONFIG), r"config\.json cannot be read"),
    ],
}


@pytest.mark.parametrize(
    ("family", "damage", "reason"), [(family, *row) for family in DAMAGES for row in DAMAGES[family]]
)
def test_damaged_checkpoint_is_named(tmp_path: Path, family: str, damage: Damage, reason: str) -> None:
    folder = written(tmp_path, family)
    damage(folder)
    cure = f"--fetch --engine {family}.*KANI_{family.upper()}_MODEL"
    if family == "pocket" and "SHA" not in reason and "whole" not in reason:
        cure = ""
    if family == "kyutai-ears":
        cure = "--fetch --recognizer kyutai.*KANI_RECOGNIZER_MODEL"
    with pytest.raises(EngineUnavailable, match=f"{reason}.*{cure}"):
        checked(family, folder)


@pytest.mark.parametrize(
    ("family", "packages", "own", "requirements"),
    [
        (
            "kyutai",
            "(torch and )?(sentencepiece and )?sphn and moshi",
            "moshi",
            kyutai.ENVIRONMENT.requirements,
        ),
        ("voxcpm", "(torch and )?voxcpm", "voxcpm", VOXCPM.environment.requirements),
    ],
)
async def test_missing_package_is_named_with_its_installation(
    tmp_path: Path, family: str, packages: str, own: str, requirements: str
) -> None:
    with pytest.raises(EngineUnavailable, match=f"needs {packages}:") as raised:
        # The server's own environment, which has torch.
        await engine_of(family, written(tmp_path, family)).start()
    assert "\n" not in str(raised.value)
    assert f"pip install -r requirements-{family}.txt" in str(raised.value)
    assert f"KANI_{family.upper()}_PYTHON={own}/bin/python" in str(raised.value)
    assert (ROOT / requirements).is_file()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/true", str(Path(__file__))])
@pytest.mark.parametrize("family", ["kyutai", "voxcpm"])
async def test_python_that_cannot_run_is_named(tmp_path: Path, family: str, python: str) -> None:
    stopped = engine_of(family, written(tmp_path, family), python)
    cure = f"KANI_{family.upper()}_PYTHON"
    with pytest.raises(EngineUnavailable, match=rf"{python} cannot be run as a Python.*{cure}"):
        await stopped.start()
    await stopped.stop()


@pytest.mark.parametrize(
    ("modules", "packages"),
    [
        (
            "kani.engines.worker.received_text, kani.engines.kyutai.speech, kani.engines.kyutai.hearing",
            ("babel", "num2words"),
        ),
        ("kani.engines.voxcpm.adapter", ()),
    ],
)
def test_worker_needs_few_packages(modules: str, packages: tuple[str, ...]) -> None:
    """Its environment is the package's own; the import of anything else of the server's is refused."""
    # msgspec and the worker use the last two where they are.
    allowed = (*packages, "msgspec", "numpy", "typing_extensions", "uvloop")
    code = (
        "import sys; import importlib.metadata as m; allowed = set(sys.argv[1:]); "
        f"import kani.engines.worker.child, {modules}; "
        "tops = {name.partition('.')[0] for name in sys.modules}; "
        "known = {top: names for top, names in m.packages_distributions().items()}; "
        "print(*sorted(top for top in tops & known.keys() if top not in allowed and not top.startswith('_')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *allowed], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_voices_are_fetched_for_embeddings_only_if_they_may_be(
    tmp_path: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    folder = written(tmp_path, "kyutai")

    def voices(named: Path | None = None, *, may_fetch: bool = True) -> list[str]:
        chosen = KyutaiSettings(speech_model=str(folder), voices=None if named is None else str(named))
        return list(kyutai.find_speech(chosen, Resources(tmp_path, may_fetch=may_fetch))["voices"])

    with pytest.raises(EngineUnavailable, match=r"with --no-fetch.*KANI_KYUTAI_VOICES"):
        voices(may_fetch=False)
    hub.repository = kyutai_published.VOICES
    own, other = (
        "unmute-prod-website/a.wav.1e68beda@240.safetensors",
        "unmute-prod-website/a.wav.other@1.safetensors",
    )
    hub.files = dict.fromkeys((own, other, "vctk/b.wav.1e68beda@240.safetensors"), tensor_file())
    hub.marks_files = False
    with caplog.at_level("INFO"):
        assert voices() == ["unmute-prod-website/a.wav"]
    assert "licence: an-open-licence" in caplog.text
    with pytest.raises(EngineUnavailable, match=r"KANI_KYUTAI_VOICES: there is no folder"):
        voices(tmp_path / "none")
    with pytest.raises(EngineUnavailable, match=r"there is no voice of this model in .*KANI_KYUTAI_VOICES"):
        voices(folder)
    edited("config.json", conditioners={})(folder)
    (folder / "me.wav").touch()
    assert (voices(), voices(folder)) == ([], ["me.wav"])


@pytest.mark.parametrize(
    ("find", "model"),
    [
        (kyutai.find_speech, kyutai_published.SPEECH_MODEL),
        (kyutai.find_hearing, kyutai_published.HEARING_MODEL),
    ],
)
def test_kyutais_checkpoints_are_fetched_only_if_they_may_be(
    tmp_path: Path, hub: Hub, find: Callable[[KyutaiSettings, Resources], object], model: str
) -> None:
    hub.repository, hub.files = model, dict.fromkeys(("config.json", "t.model", "README.md"), b"{")
    with pytest.raises(EngineUnavailable, match=f"{model} is not here, and is not fetched unasked"):
        find(KyutaiSettings(), Resources(tmp_path))
    with pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        # Its content is the hub's of the test.
        find(KyutaiSettings(), Resources(tmp_path, may_fetch=True))
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"config.json", "t.model"}


def test_recogniser_of_kyutai_is_named_before_it_starts(tmp_path: Path) -> None:
    recognizer = kyutai.build(KyutaiSettings(model="kyutai/stt-2.6b-en@main"), Resources(tmp_path))
    assert (recognizer.info.version, recognizer.info.languages) == ("stt-2.6b-en", {"en"})
    with pytest.raises(EngineUnavailable, match="neither a folder nor a model's name on a hub"):
        kyutai.build(KyutaiSettings(model="x"), Resources(tmp_path))
    with pytest.raises(EngineUnavailable, match="in transformers' format: name the checkpoint without -trfs"):
        kyutai.find_hearing(KyutaiSettings(model="kyutai/stt-1b-en_fr-trfs"), Resources(tmp_path))
    own = tmp_path / "models" / "stt-1b-en_fr"
    own.mkdir(parents=True)
    assert kyutai.hearing_folder(KyutaiSettings(), Resources(tmp_path, own.parent)) == own


def test_voxcpms_checkpoint_is_fetched_once_and_only_if_it_may_be(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.repository = voxcpm_published.DEFAULT_MODEL.partition("@")[0]
    model = f"{hub.repository}@{'a' * 40}"
    monkeypatch.setattr(voxcpm_published, "DEFAULT_MODEL", model)
    hub.files = dict.fromkeys((*voxcpm_published.DEFAULT_FILES, "tokenization_voxcpm2.py"), b"{}")
    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        find_voxcpm(VoxCPMSettings(), Resources(tmp_path))
    assert not hub.asked
    with caplog.at_level("INFO"), pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        # Its content is the hub's of the test.
        find_voxcpm(VoxCPMSettings(), Resources(tmp_path, may_fetch=True))
    assert "licence: an-open-licence" in caplog.text
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == set(voxcpm_published.DEFAULT_FILES)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert HubFiles(tmp_path, False, print).find_files(model, voxcpm_published.DEFAULT_FILES).name == "a" * 40
    with pytest.raises(EngineUnavailable, match=r"cannot be fetched from the model hub .*network"):
        find_voxcpm(VoxCPMSettings(), Resources(tmp_path / "new", may_fetch=True))


def test_revision_that_does_not_exist_is_named(tmp_path: Path, hub: Hub) -> None:
    name = f"{hub.repository}@{'c' * 40}"
    with pytest.raises(EngineUnavailable, match=f"no revision {name}"):
        find_voxcpm(VoxCPMSettings(model=name), Resources(tmp_path, may_fetch=True))


def test_options_have_the_ranges_of_the_protocol() -> None:
    told = {field.name: field.type for field in msgspec.inspect.type_info(Parameters).fields}  # type: ignore[attr-defined]
    assert {name: Range(told[name].ge, told[name].le) for name in RANGES} == RANGES  # type: ignore[attr-defined]
    assert Parameters.of({"cfg_alpha": 3.0, "cfg_value": 3}) == Parameters(cfg_value=3)
    wrong = {
        "cfg_value": [0.05, 11, "2", True, float("nan")],
        "inference_timesteps": [0, 51, 2.0, True],
        "retry_badcase_max_times": [-1, 11],
        "retry_badcase_ratio_threshold": [0.5, 21],
        "denoise": [1],
        "prompt_text": [1],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(InvalidRequest, match=f"^{name}: "):
                Parameters.of({name: value})


def test_languages_are_known_to_this_server() -> None:
    for tags in voxcpm_published.LANGUAGES.values():
        assert {resolve(tag) for tag in tags} == set(tags) and len(set(tags)) == len(tags)


OWN = replace(
    pocket_published.PUBLISHED["de"],
    cloning_revision="a" * 40,
    open_revision="b" * 40,
    tokenizer_revision="a" * 40,
)


@pytest.mark.parametrize("account", [False, True])
def test_weights_that_clone_are_preferred(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, account: bool
) -> None:
    """They are asked for only with an account; refused ones are replaced by those that do not clone."""
    monkeypatch.setitem(pocket_published.PUBLISHED, "de", OWN)
    monkeypatch.setattr("kani.engines.pocket.published._VOICES_REVISION", "b" * 40)
    tensors = [OWN.weights, pocket_published.PUBLISHED["nl"].weights, OWN.voice("juergen")]
    hub.files = dict.fromkeys(tensors, tensor_file()) | {OWN.tokenizer: b"{}"}
    hub.marks_files = False
    hub.repository = pocket_published.OPEN_REPOSITORY
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", not account)

    def found(**changed: Any) -> dict[str, Any]:
        chosen = PocketSettings(languages=("de",))
        files: dict[str, Any] = find_pocket(chosen, Resources(tmp_path, **changed))["languages"]["de"]
        return files

    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        found()
    with caplog.at_level("INFO"):
        fetched = found(may_fetch=True)
    assert (
        not fetched["clones"] and Path(fetched["weights"]).is_file() and [*fetched["voices"]] == ["juergen"]
    )
    asked = [
        path for path in hub.asked if path.startswith(f"/api/models/{pocket_published.CLONING_REPOSITORY}/")
    ]
    assert bool(asked) == ("cloning is disabled" in caplog.text) == account
    assert "an-open-licence" in caplog.text
    assert not [path for path in hub.asked if "/resolve/" in path and "dutch" in path]
    assert pocket_published.languages_here(tmp_path, ["de", "nl"], fetched=True) == ("de",)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert found() == fetched
    hub.repository = pocket_published.CLONING_REPOSITORY
    use_hub(monkeypatch, f"http://127.0.0.1:{hub.server_port}")
    assert found(may_fetch=True)["clones"] == account


def test_every_language_is_published() -> None:
    for published in pocket_published.PUBLISHED.values():
        revisions = (published.cloning_revision, published.open_revision, published.tokenizer_revision)
        assert all(len(revision) == 40 for revision in revisions) and published.voices
