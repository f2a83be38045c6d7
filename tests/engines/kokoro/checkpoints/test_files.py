"""The folder of a packed checkpoint: voices and symbols that are read from it, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kani.core.engine import EngineInfo, LightVoices, VoiceRules
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.types import Pronunciation
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.files import (
    VOICE_ARRAYS,
    CheckpointFiles,
    Description,
    PackedVoice,
    read_checkpoints,
    with_checkpoints,
)
from kani.engines.kokoro.checkpoints.loading import checkpoint_reader
from kani.engines.kokoro.plugin import known_voices
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import reader_for
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import Voices
from tests.engines.checkpoints import Damage, changed, cut, removed
from tests.support.tone import tones

SHIPPED = Voices()
GENDERS = {"f": "female", "m": "male"}
PackFolder = Callable[..., Path]


@pytest.fixture
def packed(tmp_path: Path) -> PackFolder:
    """Write a packed checkpoint without its network: ``packed("both", "de", "sv", eva="de")``."""

    def write(name: str, *languages: str, **voices: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        spoken = voices or {"martin": "de"}
        found = tuple(
            PackedVoice(voice, tag, GENDERS[voice[1]] if voice[2] == "_" else "")
            for voice, tag in spoken.items()
        )
        own = languages or tuple(dict.fromkeys(tag[:2] for tag in spoken.values()))
        description = Description(name, own, dict(VOCABULARY), found, "həlˈO")
        (folder / "checkpoint.json").write_bytes(msgspec.json.encode(description))
        values = SHIPPED.table("if_sara"), np.zeros(9216), np.zeros(9216), 1.0, 5.0
        arrays = {
            f"{voice}.{kind}": np.asarray(value, np.float32)
            for voice in spoken
            for kind, value in zip(VOICE_ARRAYS, values, strict=True)
        }
        np.savez(folder / "voices.npz", allow_pickle=False, **arrays)
        return folder

    return write


def found(**folders: Path) -> list[CheckpointFiles]:
    return read_checkpoints({key: str(folder) for key, folder in folders.items()}, SHIPPED.all)


def styles_of(shape: tuple[int, ...], value: float = 0.0) -> Damage:
    def write(folder: Path) -> None:
        with np.load(folder / "voices.npz") as data:
            arrays = {name: data[name] for name in data.files}
        np.savez(folder / "voices.npz", **arrays | {"martin.style": np.full(shape, value, np.float32)})

    return write


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (removed("checkpoint.json"), "it is not packed: python -m tools.kokoro_pack .* --languages de"),
        (removed("voices.npz"), "No such file"),
        (changed("checkpoint.json", b"{"), "pack it again"),
        (changed("checkpoint.json", b"[" * 100_000), "pack it again"),
        (changed("checkpoint.json", b"{}"), "missing required field .*pack it again"),
        (cut("voices.npz"), "pack it again"),
        (changed("voices.npz", b"PK\x03\x04 not at all"), "pack it again"),
        (styles_of((510, 128)), r"martin has no styles \[510, 256\] of numbers"),
        (styles_of((510, 256), np.nan), r"martin has no styles"),
    ],
)
def test_spoilt_folder_refused(packed: PackFolder, spoil: Damage, reason: str) -> None:
    folder = packed("de")
    (files,) = found(de=folder)
    assert [voice.id for voice in files.voices] == ["martin"]
    assert files.tables["martin"].dtype == np.float32 and files.statistics["martin"].log_f0 == 5.0
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=rf"^KANI_KOKORO_MODELS: the checkpoint in .*{reason}"):
        found(de=folder)


def test_folder_speaks_the_languages_that_it_was_packed_for(packed: PackFolder) -> None:
    folder = packed("both", af_sol="en-US", bm_x="en-GB", zf_001="zh")
    (files,) = found(zh=folder, en=folder)
    assert {voice.id: voice.gender for voice in files.voices} == {
        "af_sol": "female",
        "bm_x": "male",
        "zf_001": "female",
    }
    assert (files.default_voice("zh"), files.default_voice("en")) == ("zf_001", "af_sol")
    (files,) = found(en=folder)
    assert [voice.id for voice in files.voices] == ["af_sol", "bm_x"] and files.name == "both"
    assert found(it=packed("own", if_sara="it"))
    german = packed("german", if_sara="de")
    one, two = packed("one"), packed("two", martin="sv")
    for folders, message in (
        ({"de": german}, "if_sara is also a voice of kokoro: rename one"),
        ({"de": one, "sv": two}, r"martin is also a voice of .*one: rename one"),
        ({"fr": folder}, "it was packed for en, zh, and not for fr"),
        (
            {"de": Path("nowhere")},
            "^KANI_KOKORO_MODELS: de=nowhere is no folder: python -m ",
        ),
        ({"de": Path("owner/name")}, r"kokoro_pack owner/name FOLDER --languages de makes one"),
    ):
        with pytest.raises(EngineUnavailable, match=message):
            found(**folders)


def test_checkpoint_replaces_accent_and_voices(packed: PackFolder, tmp_path: Path) -> None:
    folders = {
        "de": packed("de", df_eva="de", dm_martin="de"),
        "en": packed("en", af_x="en-US", af_y="en-US"),
    }
    own = EngineInfo(
        "kokoro",
        "1",
        24_000,
        SHIPPED.all,
        {"en": "af_heart", "es": "ef_dora", "de": "if_sara", "nl": "if_sara"},
        VoiceRules({"de": ("if_sara", "im_nicola"), "nl": ("if_sara", "im_nicola")}, mixes=True),
        light=LightVoices({"af_heart": "en", "ef_dora": "es"}, 1, always=True),
    )
    info = with_checkpoints(own, found(**folders))
    ids = {voice.id for voice in info.voices}
    assert {"dm_martin", "df_eva", "af_x", "ef_dora", "if_sara"} <= ids and "af_heart" not in ids
    assert info.default_voices == {"en": "af_x", "es": "ef_dora", "de": "df_eva", "nl": "if_sara"}
    assert info.voice_rules.accented.keys() == {"nl"} and info.voice_rules.networks == {
        "de": "de",
        "en": "en",
    }
    assert info.light == LightVoices({"ef_dora": "es"}, 1, always=True)
    catalogue = VoiceCatalogue(tones(info), VoiceStore(tmp_path / "store"), None)
    # A voice of a checkpoint speaks nothing that only another network has.
    for voice, language, chosen in (
        (None, "de", "df_eva"),
        ("dm_martin", "de-AT", "dm_martin"),
        ("em_alex", "de", "dm_martin"),
        ("dm_martin", "es", "em_alex"),
        ("dm_martin", "nl", "im_nicola"),
        ("ef_dora", "en", "af_x"),
        ("em_alex", "es", "em_alex"),
    ):
        assert catalogue.resolve(voice, language).voice == chosen, (voice, language)
    assert catalogue.accented == {"nl"}
    assert catalogue.resolve("dm_martin+df_eva", "de").voice.startswith("dm_martin(")
    with pytest.raises(InvalidRequest, match="cannot be mixed"):
        catalogue.resolve("dm_martin+ef_dora", "de")


def test_known_voices_are_those_of_the_checkpoint(packed: PackFolder) -> None:
    models = f"sv={packed('sv', martin='sv')},es={packed('es', alma='es')}"
    known = known_voices(KokoroSettings(models=models))
    for voice in ("martin", "alma", "if_sara"):
        known.check_voice(voice)
    known.check_language("sv")
    assert "ef_dora" not in known.ids


def test_setting_needs_a_folder_for_each_language_and_a_network() -> None:
    for models in ("de", "de=a,de=b", "german=a", "de="):
        with pytest.raises(ValueError, match="has to be a list such as de=FOLDER"):
            KokoroSettings(models=models)
    with pytest.raises(ValueError, match="KANI_KOKORO_MODELS needs a KANI_KOKORO_STUDENT other than only"):
        KokoroSettings(models="de=a", student="only")


def reader(language: str) -> TextReader:
    return checkpoint_reader(EspeakClient.shared(), VOCABULARY, Path("no-such-folder"), language)


def symbols(text: str, language: str) -> str:
    (utterance,) = split_utterances(text, reader(language))
    return utterance.symbols


def test_languages_are_written_as_their_checkpoints_were_trained() -> None:
    # misaki's table, and y where Kokoro has no letter: not the sounds that an Italian voice is given.
    assert symbols("zwei Hütten", "de") == "ʦvˈI hˈytən"
    assert symbols("neun Leute", "de-AT") == "nˈɔøn lˈɔøtə"
    assert symbols("hus full", "sv") == "hˈɨs fˈɜl", "a language without a table"
    for language, text, own in (
        ("de", "neun", "nˈYn"),
        ("en", "Nobody waited for the little button.", None),
        ("es", "¿Qué hora es?", None),
    ):
        of_kokoro = reader_for(EspeakClient.shared(), language, Path("no-such-folder"))
        assert of_kokoro is not None
        expected = own or symbols(text, language)
        assert split_utterances(text, of_kokoro)[0].symbols == expected
    given = [Pronunciation(11, 14, "ˈmaɪkəl")]
    (utterance,) = split_utterances("God morgon Xqz.", reader("sv-SE"), pronunciations=given)
    assert len(utterance.words) == 3 and "mˈ" in utterance.symbols
    assert set(utterance.symbols) <= VOCABULARY.keys()
