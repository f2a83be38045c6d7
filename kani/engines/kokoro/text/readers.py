"""Choice of the way from text to symbols for a language."""

import logging
from importlib.util import find_spec
from pathlib import Path

from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text.espeak_ipa import Phonemizer, phonemizer_for
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.unspaced import chinese, japanese
from kani.engines.kokoro.text.unspaced.chinese import ChineseReader
from kani.engines.kokoro.text.unspaced.dictionary import Dictionary
from kani.engines.kokoro.text.unspaced.japanese import JapaneseReader
from kani.engines.kokoro.voices import DEFAULT_VOICES
from kani.runtime.extras import INSTALLED, install_command
from kani_text.languages import english_name, primary

logger = logging.getLogger(__name__)

_PACKAGES = {"zh": chinese.PACKAGES, "ja": japanese.PACKAGES}


def missing_packages(language: str) -> list[str]:
    """Packages that a language (BCP 47) needs and that are not installed."""
    return [package for package in _PACKAGES.get(primary(language), ()) if find_spec(package) is None]


def reader_for(espeak: EspeakClient, language: str, cache_dir: Path) -> TextReader | None:
    """Return what converts text of a language (BCP 47); None for one that Kokoro does not speak here.

    Loads nothing. cache_dir: where the Japanese dictionary is unpacked.
    """
    if missing_packages(language):
        return None
    match primary(language):
        case "zh":
            return ChineseReader(Phonemizer(espeak, "en-us"), Dictionary.shared("zh", cache_dir))
        case "ja":
            return JapaneseReader(Dictionary.shared("ja", cache_dir))
    return phonemizer_for(espeak, language)


def spoken_languages() -> list[str]:
    """The languages with installed packages; the log names the others."""
    spoken = []
    for language in DEFAULT_VOICES:
        if missing := missing_packages(language):
            name = english_name(language)
            if INSTALLED:
                # An installation without these languages is a choice.
                logger.info("Kokoro does not speak %s: %s", name, install_command(name.lower(), ""))
            else:
                names = " ".join(missing)
                logger.warning("Kokoro does not speak %s: pip install %s (see requirements.txt)", name, names)
        else:
            spoken.append(language)
    return spoken
