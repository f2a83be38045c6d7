"""Who speaks in a Kani checkpoint, in which languages, and what a text has to begin with for that."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from speech.errors import UnsupportedLanguage
from speech.text.languages import canonical, primary, resolve
from speech.types import Voice

LANGUAGES = ("es", "en", "de", "zh", "ko", "ar")
"""What kani-tts-370m was trained on, Spanish first; a checkpoint that ends in one of them speaks that one."""

# By the makers' pages. A checkpoint names its speakers itself, but not what they speak.
_SPEAKERS = {
    "ar": "karim nur",
    "de": "bert thorsten",
    "en": "andrew david jenny katie kore puck simon",
    "es": "ash ballad maria nova",
    "ko": "seulgi",
    "zh": "mei ming",
}

logger = logging.getLogger(__name__)


class KaniVoices:
    """The voices of a checkpoint: its speakers, or one that is called like it.

    Text is said by a speaker where it begins "NAME: ", and in a language or an accent, by a checkpoint that
    wants to be told, where it begins "TAG: " ("en_us: "). The makers have no checkpoint with both; the name
    would go before the tag.
    """

    def __init__(self, engine: str, checkpoint: str, speakers: Sequence[str], tags: Sequence[str]) -> None:
        """engine: whose voices they are; speakers, tags: as the checkpoint's config has them."""
        self._tags = _by_language(tags)
        named = [tag for tag in LANGUAGES if checkpoint.endswith(f"-{tag}")]
        languages = list(dict.fromkeys(map(primary, self._tags))) or named or list(LANGUAGES)
        only = languages[0] if len(languages) == 1 else ""
        spoken = {name: tag for tag, names in _SPEAKERS.items() for name in names.split()}
        self._speakers = {f"{engine}:{name}": name for name in speakers} or {f"{engine}:{checkpoint}": ""}
        self.voices = tuple(
            Voice(id, name or checkpoint, spoken.get(name, only), engine)
            for id, name in self._speakers.items()
        )
        own = {primary(voice.language): voice.id for voice in reversed(self.voices) if voice.language}
        self.default_voices = {tag: own.get(tag, self.voices[0].id) for tag in languages}
        """The voice of each language, by primary subtags."""

    def prompt_text(self, text: str, voice: str | None, language: str) -> str:
        """The text as the checkpoint wants it, for a voice's id, or nobody's, and a language (BCP 47)."""
        start = (self._speakers[voice] if voice else "") or self._tag(language)
        return f"{start}: {text}" if start else text

    def _tag(self, language: str) -> str:
        """The tag of exactly that language, of the language alone, or the first one of that language."""
        wanted = canonical(language)
        while wanted:
            if wanted in self._tags:
                return self._tags[wanted]
            wanted = wanted.rpartition("-")[0]
        same = (tag for known, tag in self._tags.items() if primary(known) == primary(language))
        return next(same, "")


def _by_language(tags: Sequence[str]) -> dict[str, str]:
    """The tags by the languages (BCP 47) that they mean; the first of two that mean the same."""
    known: dict[str, str] = {}
    for tag in tags:
        try:
            known.setdefault(resolve(tag), tag)
        except UnsupportedLanguage:
            logger.warning("the Kani checkpoint's language tag %r is none that is known: not used", tag)
    return known
