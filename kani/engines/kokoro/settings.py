"""Settings of Kokoro."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from kani.engines.kokoro.text.vocabulary import ACCENTED_SYMBOLS
from kani.engines.plugin_settings import LOWER, PluginSettings, choices, listed, lower, setting

SPEECH = "Speech"
"""The group of the server's own settings."""

MODELS = "a list such as de=FOLDER,sv=FOLDER"

ACCENTED = f"none, or {choices(sorted(ACCENTED_SYMBOLS))}"


def _accented(value: Any) -> Any:
    languages = tuple(lower(part) for part in listed(value))
    if languages == ("none",):
        return ()
    if not set(languages) <= ACCENTED_SYMBOLS.keys():
        raise ValueError(f"has to be {ACCENTED}")
    return languages


_LANGUAGE = re.compile(r"[a-z]{2,3}")


def _models(value: Any) -> Any:
    pairs = [part.partition("=")[::2] for part in listed(value)] if isinstance(value, str) else value
    named = {lower(str(language).strip()): str(folder).strip() for language, folder in pairs}
    if len(named) != len(pairs) or not all(_LANGUAGE.fullmatch(tag) and named[tag] for tag in named):
        raise ValueError(f"has to be {MODELS}, each language once")
    return tuple(named.items())


class KokoroSettings(PluginSettings):
    @model_validator(mode="after")
    def _loads_its_models(self) -> Self:
        if self.models and self.student == "only":
            raise ValueError("KANI_KOKORO_MODELS needs a KANI_KOKORO_STUDENT other than only")
        return self

    student: Annotated[Literal["auto", "always", "never", "only"], LOWER] = setting(
        "auto",
        "KANI_KOKORO_STUDENT",
        group=SPEECH,
        after="threads",
        about="Use of the students, small networks that speak English as af_heart, Spanish as ef_dora, "
        "French as ff_siwis, Italian as if_sara and Portuguese as pf_dora for a twentieth of the processor "
        "time: `auto` (in sessions that begin while Kokoro's slots are taken, and in all on a machine where "
        "Kokoro's sentences begin late, such as one with AVX2 only), `always`, `never`, or `only` (Kokoro "
        "itself is not loaded: the students' voices, and 0.2 GB of memory less).",
    )
    students: Path | None = setting(
        None,
        "KANI_KOKORO_STUDENTS",
        accepts="a folder",
        about="Folder of further students, each in a folder of its own, as "
        "[the training](train_a_student.md) writes them; one of a voice that ours speak takes its place.",
    )
    accented: Annotated[tuple[str, ...], BeforeValidator(_accented)] = setting(
        ("de", "nl", "pl", "ru"),
        "KANI_ACCENTED_LANGUAGES",
        accepts=ACCENTED,
        option=False,
        about="Languages that Kokoro is not trained on and speaks with a foreign accent, where no voice but "
        "espeak-ng's has them. espeak-ng speaks those that are not listed; `none`: all of them.",
    )
    models: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_models)] = setting(
        (),
        "KANI_KOKORO_MODELS",
        accepts=MODELS,
        about="[Checkpoints of Kokoro's network](kokoro.md#other-checkpoints) that speak these languages, "
        "each a folder that `python -m tools.kokoro_pack` made.",
    )
