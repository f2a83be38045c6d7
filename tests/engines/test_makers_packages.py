"""Files of makers' packages: found, fetched and checked; why an engine cannot start, with the cure."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.types import OPTION_RANGES, Range
from kani.engines.kyutai import plugin as kyutai
from kani.engines.kyutai import published as kyutai_published
from kani.engines.packages.package import Package
from kani.engines.plugin import CURE, Resources
from kani.engines.plugin_settings import PluginSettings
from kani.engines.pocket import published as pocket_published
from kani.engines.pocket.plugin import PACKAGE as POCKET
from kani.engines.pocket.plugin import PocketSettings
from kani.engines.transcribe.plugin import PACKAGE as TRANSCRIBE
from kani.engines.voxcpm import plugin as voxcpm
from kani.engines.voxcpm import published as voxcpm_published
from kani.engines.voxcpm.parameters import Parameters
from kani.engines.voxcpm.plugin import VoxCPMSettings
from kani_text.languages import resolve
from tests.conftest import ROOT
from tests.engines.checkpoints import Damage, changed, cut, edited, removed, tampered
from tests.engines.packages.small_checkpoints import CONFIG, tensor_file, written
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub
from tests.support.programs import python

PACKAGES: dict[str, tuple[Package, BaseModel]] = {
    "pocket": (POCKET, PocketSettings(languages=("de",))),
    "kyutai": (kyutai.SPEECH, PluginSettings()),
    "kyutai-ears": (kyutai.HEARING, PluginSettings()),
    "voxcpm": (voxcpm.PACKAGE, VoxCPMSettings()),
    "transcribe": (TRANSCRIBE, PluginSettings()),
}


def found(name: str, model: str, resources: Resources) -> dict[str, Any]:
    package, settings = PACKAGES[name]
    return package.files(settings, replace(resources, model=model, voices=model))


@pytest.mark.parametrize("name", ["kyutai", "kyutai-ears", "voxcpm"])
def test_whole_checkpoint_is_taken(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path, name)
    voice = folder / "fr" / "ana.wav.1e68beda@240.safetensors"
    voice.parent.mkdir()
    voice.write_bytes(tensor_file())
    names = {"config_path": CONFIG, "moshi_weights": "dsm_tts.safetensors"}
    names |= {"mimi_weights": "mimi.safetensors", "tokenizer": "tokenizer.model"}
    files = {argument: str(folder / file) for argument, file in names.items()}
    expected: dict[str, dict[str, Any]] = {
        "kyutai": {"version": "checkpoint.1e68beda@240", "voices": {"fr/ana.wav": str(voice)}},
        "kyutai-ears": {"version": "checkpoint", "languages": ["en", "fr"], "before_s": 0.0, "text_s": 0.5},
        "voxcpm": {"denoiser": None, "architecture": "voxcpm2", "recording_rate": 16_000},
    }
    own = found(name, str(folder), Resources(tmp_path))
    home = {"folder": str(folder)} if name == "voxcpm" else {"files": files}
    assert own.pop(CURE) and own == expected[name] | home


TTS, STT = "is not of a text-to-speech model", "no stt_config with"
GERMAN, WEIGHTS = "languages/german", "model.safetensors"
DAMAGES: dict[str, list[tuple[Damage, str]]] = {
    "pocket": [
        (removed(f"{GERMAN}/{WEIGHTS}"), f"{WEIGHTS} is not there: KANI_MODEL has"),
        (removed(f"{GERMAN}/tokenizer.json"), r"tokenizer\.json is not there: KANI_MODEL has"),
        (removed(f"{GERMAN}/embeddings/juergen.safetensors"), r"has no voice: put one into .*embeddings/"),
        (cut(f"{GERMAN}/{WEIGHTS}"), f"{WEIGHTS} is not a whole safetensors file: CURE"),
        (tampered(f"{GERMAN}/tokenizer.json"), r"tokenizer\.json fails its SHA-256: CURE"),
    ],
    "kyutai": [
        (edited(CONFIG, tts_config=...), rf"{TTS} \(tts_config is missing\): CURE"),
        (edited(CONFIG, conditioners=...), rf"{TTS} \(conditioners is missing\): CURE"),
        (edited(CONFIG, tts_config={"audio_delay": 1, "multistream": True}), "of a model for two speakers"),
        (edited(CONFIG, model_id=...), "has no model_id with sig and epoch: CURE"),
        (changed(CONFIG, "{"), r"config\.json is not JSON: CURE"),
        (edited(CONFIG, mimi_name="../mimi.safetensors"), r"no file '\.\./mimi\.safetensors'.*: CURE"),
        (removed("mimi.safetensors"), r"no file 'mimi\.safetensors'.*: CURE"),
        (cut("dsm_tts.safetensors"), r"dsm_tts\.safetensors is not a whole safetensors file: CURE"),
    ],
    "kyutai-ears": [
        (edited(CONFIG, stt_config=...), f"{STT} audio_silence_prefix_seconds from 0 to 10: CURE"),
        (
            edited(CONFIG, stt_config={"audio_silence_prefix_seconds": 0, "audio_delay_seconds": -1}),
            f"{STT} audio_delay_seconds from 0 to 10: CURE",
        ),
        (removed("tokenizer.model"), r"no file 'tokenizer\.model'.*: CURE"),
    ],
    "voxcpm": [
        (changed(CONFIG, '{"model_type": "llama"}'), r"is of another architecture .*lm_.*: CURE"),
        (edited(CONFIG, architecture="voxcpm9"), r"is of another architecture .*voxcpm9.*: CURE"),
        (changed(CONFIG, "[]"), r"config\.json is not a JSON object: CURE"),
        (removed(CONFIG), r"has no config\.json: CURE"),
        (edited(CONFIG, audio_vae_config={"sample_rate": "x"}), "no valid sample_rate of its codec: CURE"),
        (changed(WEIGHTS, "<html>not found</html>"), f"{WEIGHTS} is not a whole safetensors file: CURE"),
        (removed("audiovae.pth"), r"no audiovae\.safetensors and no audiovae\.pth: CURE"),
        (removed("tokenizer.json"), r"no tokenizer\.json and no tokenizer\.model: CURE"),
    ],
}


@pytest.mark.parametrize(
    ("name", "damage", "reason"), [(name, *row) for name in DAMAGES for row in DAMAGES[name]]
)
def test_damaged_checkpoint_is_named(tmp_path: Path, name: str, damage: Damage, reason: str) -> None:
    folder, package = written(tmp_path, name), PACKAGES[name][0]
    damage(folder)
    cure = f"remove it and fetch it again by .*--{package.kind} {package.name}, .*{package.setting}"
    with pytest.raises(EngineUnavailable, match=reason.replace("CURE", cure)):
        found(name, str(folder), Resources(tmp_path))


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("pocket", "(torch and )?pocket_tts"),
        ("kyutai", "(torch and )?(sentencepiece and )?sphn and moshi"),
        ("voxcpm", "(torch and )?voxcpm"),
        ("transcribe", "transcribe_cpp"),
    ],
)
def test_missing_package_is_named_with_its_installation(tmp_path: Path, name: str, needs: str) -> None:
    package, settings = PACKAGES[name]
    with pytest.raises(EngineUnavailable, match=f"needs {needs}:") as raised:
        # The server's own environment, which has torch.
        package.worker(settings, Resources(tmp_path, model="owner/name"))
    folder, said = package.environment.packages.partition("==")[0], str(raised.value)
    assert f"pip install -r requirements/{name}.txt" in said and "\n" not in said
    assert f"KANI_PYTHONS={name}={folder}/bin/python" in said
    # Both homes of the pins agree.
    listed = (ROOT / f"requirements/{name}.txt").read_text("utf-8").split()
    assert not {each for each in package.environment.packages.split() if "==" in each} - {*listed}


@pytest.mark.parametrize(
    ("modules", "packages"),
    [
        ("worker.received_text kyutai.speech kyutai.hearing", "babel num2words"),
        ("voxcpm.adapter voxcpm.nano_vllm pocket.adapter transcribe.adapter", ""),
    ],
)
def test_worker_needs_few_packages(modules: str, packages: str) -> None:
    """Its environment is the package's own; the import of anything else of the server's is refused."""
    imported = ", ".join(f"kani.engines.{name}" for name in ("worker.child", *modules.split()))
    code = (
        f"import sys; from importlib.metadata import packages_distributions as known; import {imported}; "
        "print(*{name.partition('.')[0] for name in sys.modules} & known().keys())"
    )
    # msgspec and the worker use the last two where they are.
    allowed = {*packages.split(), "msgspec", "numpy", "typing_extensions", "uvloop"}
    tops = {*python("-c", code).stdout.split()} - allowed
    assert not {top for top in tops if not top.startswith("_")}


def fetched_files(hub: Hub) -> set[str]:
    return {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}


FETCHED: dict[str, tuple[str, Sequence[str], str]] = {
    "kyutai": (kyutai_published.SPEECH_MODEL, (CONFIG, "t.model"), "README.md"),
    "kyutai-ears": (kyutai_published.HEARING_MODEL, (CONFIG, "t.model"), "README.md"),
    "voxcpm": ("DEFAULT_MODEL", voxcpm_published.DEFAULT_FILES, "tokenization_voxcpm2.py"),
}
"""Name of a model, the files that are fetched of it, and one that is not."""


@pytest.mark.parametrize("name", FETCHED)
def test_checkpoint_is_fetched_once_and_only_if_it_may_be(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    model, files, other = FETCHED[name]
    if model == "DEFAULT_MODEL":
        model = f"{voxcpm_published.DEFAULT_MODEL.partition('@')[0]}@{'a' * 40}"
        monkeypatch.setattr(voxcpm_published, "DEFAULT_MODEL", model)
    package, chosen = PACKAGES[name]
    hub.repository, hub.files = model.partition("@")[0], dict.fromkeys((*files, other), b"{")
    with pytest.raises(EngineUnavailable, match=f"{model} is not here, and is not fetched unasked or with"):
        package.files(chosen, Resources(tmp_path))
    assert not hub.asked
    # Its content is the hub's of the test.
    with pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        package.files(chosen, Resources(tmp_path, may_fetch=True))
    assert "licence: an-open-licence" in caplog.text and fetched_files(hub) == set(files)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(EngineUnavailable, match=r"config\.json is not JSON"):
        package.files(chosen, Resources(tmp_path))
    with pytest.raises(EngineUnavailable, match=rf"cannot be fetched .*network.*{package.setting}\)"):
        package.files(chosen, Resources(tmp_path / "new", may_fetch=True))


def test_voices_are_fetched_for_embeddings_only_if_they_may_be(tmp_path: Path, hub: Hub) -> None:
    folder = written(tmp_path, "kyutai")

    def voices(named: Path | None = None, *, may_fetch: bool = True) -> list[str]:
        own = None if named is None else str(named)
        given = Resources(tmp_path, model=str(folder), voices=own, may_fetch=may_fetch)
        return list(kyutai.SPEECH.files(PluginSettings(), given)["voices"])

    with pytest.raises(EngineUnavailable, match=r"with --no-fetch.*KANI_ENGINE_VOICES"):
        voices(may_fetch=False)
    hub.repository, hub.marks_files = kyutai_published.VOICES, False
    unmute = "unmute-prod-website"
    names = (f"{unmute}/a.wav.1e68beda@240", f"{unmute}/b.wav.other@1", "vctk/c.wav.other@1")
    hub.files = {f"{name}.safetensors": tensor_file() for name in names}
    assert voices() == ["unmute-prod-website/a.wav"]
    assert fetched_files(hub) == {"a.wav.1e68beda@240.safetensors"}
    with pytest.raises(EngineUnavailable, match=r"KANI_ENGINE_VOICES: there is no folder"):
        voices(tmp_path / "none")
    with pytest.raises(EngineUnavailable, match=r"there is no voice of this model in .*KANI_ENGINE_VOICES"):
        voices(folder)
    # Those of another checkpoint are fetched, too.
    edited(CONFIG, model_id={"sig": "other", "epoch": 1})(folder)
    assert voices() == ["unmute-prod-website/b.wav"]
    edited(CONFIG, conditioners={})(folder)
    (folder / "me.wav").touch()
    assert (voices(), voices(folder)) == ([], ["me.wav"])


def test_recogniser_of_kyutai_is_named_before_it_starts(tmp_path: Path) -> None:
    given = Resources(tmp_path, model="kyutai/stt-2.6b-en@main")
    recognizer = kyutai.build(PluginSettings(), given)
    assert (recognizer.info.version, recognizer.info.languages) == ("stt-2.6b-en", {"en"})
    with pytest.raises(EngineUnavailable, match="neither here nor a model's name on a hub"):
        kyutai.build(PluginSettings(), replace(given, model="x"))
    for name in ("kyutai", "kyutai-ears"):
        with pytest.raises(EngineUnavailable, match="in transformers' format: name the checkpoint without"):
            found(name, "kyutai/stt-1b-en_fr-trfs", Resources(tmp_path))
    own = tmp_path / "models" / "stt-1b-en_fr"
    own.mkdir(parents=True)
    assert kyutai.local_folder("kyutai/stt-1b-en_fr", Resources(tmp_path, own.parent)) == own


def test_denoiser_and_revision_that_do_not_exist_are_named(tmp_path: Path, hub: Hub) -> None:
    chosen = VoxCPMSettings(denoiser=str(tmp_path / "none"))
    given = Resources(tmp_path, model=str(written(tmp_path, "voxcpm")))
    with pytest.raises(EngineUnavailable, match=r"KANI_VOXCPM_DENOISER: there is no folder .*none"):
        voxcpm.PACKAGE.files(chosen, given)
    name = f"{hub.repository}@{'c' * 40}"
    with pytest.raises(EngineUnavailable, match=f"no revision {name}"):
        found("voxcpm", name, Resources(tmp_path, may_fetch=True))


def test_options_have_their_ranges() -> None:
    told = {field.name: field.type for field in msgspec.inspect.type_info(Parameters).fields}  # type: ignore[attr-defined]
    limits = {name: Range(each.ge, each.le) for name, each in told.items() if hasattr(each, "ge")}
    assert limits == {name: OPTION_RANGES[name] for name in limits} and len(limits) == 4
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
    for tags in (*voxcpm_published.LANGUAGES.values(), tuple(pocket_published.PUBLISHED)):
        assert {resolve(tag) for tag in tags} == set(tags) and len(set(tags)) == len(tags)
    for published in pocket_published.PUBLISHED.values():
        sources = (published.cloning, published.open, published.tokenizers)
        assert all(len(each.partition("@")[2]) == 40 for each in sources) and published.voices


OWN = pocket_published.PUBLISHED["de"]._replace(
    cloning=f"{pocket_published.CLONING_REPOSITORY}@{'a' * 40}",
    open=f"{pocket_published.OPEN_REPOSITORY}@{'b' * 40}",
    tokenizers=f"{pocket_published.OPEN_REPOSITORY}@{'a' * 40}",
)


@pytest.mark.parametrize("account", [False, True])
def test_weights_that_clone_are_preferred(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, account: bool
) -> None:
    """They are asked for only with an account; refused ones are replaced by those that do not clone."""
    monkeypatch.setitem(pocket_published.PUBLISHED, "de", OWN)
    monkeypatch.setattr("kani.engines.pocket.plugin.VOICES", OWN.open)
    tensors = [OWN.weights, pocket_published.PUBLISHED["nl"].weights, OWN.voice("juergen")]
    hub.files = dict.fromkeys(tensors, tensor_file()) | {OWN.tokenizer: b"{}"}
    hub.marks_files = False
    hub.repository = pocket_published.OPEN_REPOSITORY
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", not account)

    def german(**changed: Any) -> dict[str, Any]:
        files = POCKET.files(PocketSettings(languages=("de",)), Resources(tmp_path, **changed))
        return files["languages"]["de"]

    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        german()
    fetched = german(may_fetch=True)
    assert not fetched["clones"] and [*fetched["voices"]] == ["juergen"]
    assert Path(fetched["weights"]).is_file()
    cloning = f"/api/models/{pocket_published.CLONING_REPOSITORY}/"
    asked = any(path.startswith(cloning) for path in hub.asked)
    assert asked == ("cloning is disabled" in caplog.text) == account
    assert "an-open-licence" in caplog.text
    assert not [path for path in hub.asked if "/resolve/" in path and "dutch" in path]
    assert pocket_published.languages_here(tmp_path, ["de", "nl"]) == ("de",)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert german() == fetched
    hub.repository = pocket_published.CLONING_REPOSITORY
    use_hub(monkeypatch, f"http://127.0.0.1:{hub.server_port}")
    assert german(may_fetch=True)["clones"] == account
