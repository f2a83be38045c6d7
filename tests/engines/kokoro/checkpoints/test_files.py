"""The folder of a checkpoint: what is read from it, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kani.core.engine import EngineInfo, LightVoices
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.engines.kokoro.checkpoints.choice import with_checkpoints
from kani.engines.kokoro.checkpoints.files import CheckpointFiles, read_checkpoints
from kani.engines.kokoro.checkpoints.finding import local_places
from kani.engines.kokoro.checkpoints.voice_files import read_voices
from kani.engines.kokoro.plugin import known_voices
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import Voices
from tests.engines.kokoro.checkpoints.conftest import MakeFolder
from tests.support.tone import tones

SHIPPED = Voices()
TABLE = SHIPPED.table("if_sara").astype(np.float32)


def found(**folders: Path) -> list[CheckpointFiles]:
    return read_checkpoints(local_places({key: str(folder) for key, folder in folders.items()}), SHIPPED.all)


def test_voices_are_read_from_each_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(TABLE[:, np.newaxis].tobytes())
    np.save(tmp_path / "Björn.npy", TABLE)
    (tmp_path / "voices").mkdir()
    longer = np.concatenate([TABLE, TABLE[:1]])[:, np.newaxis]
    np.savez(tmp_path / "voices" / "pack.npz", allow_pickle=False, one=longer, two=TABLE[:, np.newaxis])
    # The family's file of all voices is such an archive, too.
    np.savez(tmp_path / "three.npz", allow_pickle=False, three=TABLE)
    (tmp_path / "three.npz").rename(tmp_path / "voices-v1.0.bin")
    tables = read_voices(tmp_path)
    assert tables.keys() == {"raw", "Bjorn", "one", "two", "three"}
    for table in tables.values():
        assert table.dtype == np.float32 and table.shape == TABLE.shape and (table == TABLE).all()


def pickled(folder: Path) -> None:
    np.save(folder / "voices" / "bad.npy", np.array([{}], object), allow_pickle=True)


def saved(array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "voices" / "bad.npy", array)


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def configured(**config: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "voices" / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.npy", bytes(5 << 20))


def encrypted(folder: Path) -> None:
    content = io.BytesIO()
    np.savez(content, locked=TABLE)
    spoilt = bytearray(content.getvalue())
    # The flag of an encrypted entry, in its header and in the list of entries.
    spoilt[6] |= 1
    spoilt[spoilt.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "voices" / "locked.npz").write_bytes(spoilt)


def renamed(folder: Path) -> None:
    np.savez(folder / "voices" / "many.npz", one=TABLE)
    (folder / "voices" / "many.npz").rename(folder / "voices" / "many.npy")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "needs exactly one file .*, and has none"),
        (written("other.onnx", b""), "and has model.onnx, other.onnx"),
        (lambda folder: (folder / "voices" / "martin.bin").unlink(), "it has no voices"),
        (written("voices/bad.bin", b"123"), "bad.bin: 3 bytes are not rows of 256"),
        (written("voices/short.bin", bytes(1024)), r"short.bin: .* \[1, 256\], where .* \[510, 1, 256\]"),
        (written("voices/two words.bin", TABLE.tobytes()), "'two words' is no name of a voice"),
        (written("martin.bin", TABLE.tobytes()), "the voice martin is there twice"),
        (written("voices/long.bin", bytes((4 << 20) + 1)), "long.bin: longer than 4194304 bytes"),
        (saved(TABLE[:, :128]), r"float32 \[510, 128\]"),
        (saved(TABLE.astype(np.int16)), "int16"),
        (saved(np.where(TABLE > 0, TABLE, np.nan)), "values that are not finite"),
        (pickled, "bad.npy: .*allow_pickle"),
        (written("voices/bad.npz", b"PK\x03\x04 not at all"), "bad.npz: .*not a zip file"),
        (encrypted, "locked.npz: .*encrypted"),
        (renamed, "many.npy: it is an archive"),
        (bomb, "bomb.npz: bad.npy is longer than"),
        (written("config.json", b"{"), "config.json: "),
        (configured(vocab=["a"]), "config.json: .*vocab"),
        (configured(other=1), "config.json: .*vocab"),
        (configured(vocab={"a": 178}), "'a' is not one character with a token of 0 to 177"),
        (configured(vocab={"ab": 1}), "'ab' is not one character"),
    ],
)
def test_spoilt_folder_is_refused(
    make_folder: MakeFolder, spoil: Callable[[Path], object], reason: str
) -> None:
    folder = make_folder("de")
    assert [voice.id for voice in found(de=folder)[0].voices] == ["martin"]
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=rf"^KANI_KOKORO_MODELS: the checkpoint in .*{reason}"):
        found(de=folder)


def test_voices_have_a_limit(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.engines.kokoro.checkpoints.voice_files.MAX_VOICES", 1)
    with pytest.raises(EngineUnavailable, match="the voices are more than 1"):
        found(de=make_folder("de", one="if_sara", two="im_nicola"))


def test_missing_folder_is_named() -> None:
    with pytest.raises(EngineUnavailable, match=r"^KANI_KOKORO_MODELS: de=nowhere is neither a folder nor a"):
        found(de=Path("nowhere"))


def test_names_give_language_and_gender(make_folder: MakeFolder) -> None:
    folder = make_folder("both", zf_001="zf_xiaobei", bm_x="bm_george", af_sol="af_sky", ef_y="ef_dora")
    (files,) = found(zh=folder, en=folder)
    # The Spanish voice is left out.
    tags = {voice.id: (voice.language, voice.gender) for voice in files.voices}
    assert tags == {
        "af_sol": ("en-US", "female"),
        "bm_x": ("en-GB", "male"),
        "zf_001": ("zh", "female"),
    }
    assert files.vocabulary == VOCABULARY
    assert (files.default_voice("zh"), files.default_voice("en")) == ("zf_001", "af_sol")


def test_voices_of_another_language_only_speak_the_named_one(make_folder: MakeFolder) -> None:
    (files,) = found(de=make_folder("de", af_x="af_sky", af_y="af_sky"))
    assert [(voice.id, voice.language) for voice in files.voices] == [("af_x", "de"), ("af_y", "de")]


def test_names_are_taken_once(make_folder: MakeFolder) -> None:
    own = make_folder("own", if_sara="if_sara")
    with pytest.raises(EngineUnavailable, match="if_sara is also a voice of kokoro: rename one"):
        found(de=own)
    assert found(it=own)
    one, two = make_folder("one"), make_folder("two")
    with pytest.raises(EngineUnavailable, match=r"martin is also a voice of .*one: rename one"):
        found(de=one, sv=two)


def kokoro(light: LightVoices | None = None) -> EngineInfo:
    return EngineInfo(
        "kokoro",
        "1",
        24_000,
        SHIPPED.all,
        {"en": "af_heart", "es": "ef_dora", "de": "if_sara", "nl": "if_sara"},
        accented={"de": ("if_sara", "im_nicola"), "nl": ("if_sara", "im_nicola")},
        mixes_voices=True,
        light=light,
    )


def test_checkpoint_replaces_accent_and_voices(make_folder: MakeFolder, tmp_path: Path) -> None:
    folders = {
        "de": make_folder("de", dm_martin="im_nicola", df_eva="if_sara"),
        "en": make_folder("en", af_x="af_sky", af_y="af_sky"),
    }
    light = LightVoices({"af_heart": "en", "ef_dora": "es"}, 1, always=True)
    info = with_checkpoints(kokoro(light), found(**folders))
    ids = {voice.id for voice in info.voices}
    assert {"dm_martin", "df_eva", "af_x", "ef_dora", "if_sara"} <= ids and "af_heart" not in ids
    assert info.default_voices == {"en": "af_x", "es": "ef_dora", "de": "df_eva", "nl": "if_sara"}
    assert info.accented.keys() == {"nl"} and info.networks == {"de": "de", "en": "en"}
    assert info.light == LightVoices({"ef_dora": "es"}, 1, always=True)

    catalogue = VoiceCatalogue(tones(info), VoiceStore(tmp_path / "store"), None)

    def chosen(voice: str | None, language: str) -> str:
        return catalogue.resolve(voice, language).voice

    assert [chosen(None, "de"), chosen("dm_martin", "de-AT"), chosen("em_alex", "de")] == [
        "df_eva",
        "dm_martin",
        "dm_martin",
    ]
    # A voice of a checkpoint speaks nothing that only another network has.
    assert [chosen("dm_martin", "es"), chosen("dm_martin", "nl"), chosen("ef_dora", "en")] == [
        "em_alex",
        "im_nicola",
        "af_x",
    ]
    assert chosen("em_alex", "es") == "em_alex" and catalogue.accented == {"nl"}
    assert chosen("dm_martin+df_eva", "de").startswith("dm_martin(")
    with pytest.raises(InvalidRequest, match="cannot be mixed"):
        chosen("dm_martin+ef_dora", "de")


def test_known_voices_are_those_of_the_checkpoint(make_folder: MakeFolder) -> None:
    models = f"sv={make_folder('sv')},es={make_folder('es', alma='ef_dora')}"
    known = known_voices(KokoroSettings(models=models))
    assert known is not None
    known.check_voice("martin")
    known.check_voice("alma")
    known.check_voice("if_sara")
    known.check_language("sv")
    assert "ef_dora" not in known.ids
    assert known_voices(KokoroSettings(models=f"{models},de=owner/name")) is None


@pytest.mark.parametrize("models", ["de", "de=a,de=b", "german=a", "de="])
def test_setting_needs_a_folder_for_each_language(models: str) -> None:
    with pytest.raises(ValueError, match="has to be a list such as de=FOLDER"):
        KokoroSettings(models=models)


def test_students_only_leave_no_network() -> None:
    with pytest.raises(ValueError, match="KANI_KOKORO_MODELS needs a KANI_KOKORO_STUDENT other than only"):
        KokoroSettings(models="de=a", student="only")
