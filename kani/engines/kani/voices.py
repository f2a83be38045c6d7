"""Voices and languages of a Kani checkpoint, and the text prefixes that select them."""

import logging
import re
from collections.abc import Sequence

from kani.core.errors import UnsupportedLanguage
from kani.core.types import Voice
from kani.core.voices.names import SPEAKERS, Speaker
from kani_text.languages import canonical, primary, resolve

LANGUAGES = ("es", "en", "de", "zh", "ko", "ar")
"""Languages of kani-tts-370m, Spanish first."""

_NAMED = re.compile(r"-(es|en|de|zh|ko|ar|ky|ja)")
"""End of the name of a checkpoint that speaks one language."""

_PUBLISHED = {"kani-tts-2-pt": ("en", "es", "ky")}
"""Languages of checkpoints that neither their name nor their tags tell; pt is "pretrained"."""

logger = logging.getLogger(__name__)


class KaniVoices:
    """The voices of a checkpoint: its speakers, or one named after it.

    A text that begins "NAME: " is spoken by that speaker; with a checkpoint that needs language tags, one
    that begins "TAG: " ("en_us: ") is spoken in that language or accent. No published checkpoint has both;
    the name would go before the tag.
    """

    def __init__(
        self,
        engine: str,
        checkpoint: str,
        speakers: Sequence[str],
        tags: Sequence[str],
        card: Sequence[str] = (),
        files: Sequence[str] = (),
    ) -> None:
        """engine: the voices' engine; speakers, tags: as in the checkpoint's config; card: languages that its
        card tells; files: names of the user's voices.
        """
        self._tags = _by_language(tags)
        ending = _NAMED.fullmatch(checkpoint[-3:])
        named = _PUBLISHED.get(checkpoint, (ending[1],) if ending is not None else LANGUAGES)
        told = map(primary, self._tags or _by_language(card))
        languages = list(dict.fromkeys(told)) or list(named)
        only = languages[0] if len(languages) == 1 else ""
        self._speakers = {f"{engine}:{name}": name for name in speakers}
        self._files = {f"{engine}:{name}": name for name in files}
        if not (speakers or files):
            self._speakers = {f"{engine}:{checkpoint}": ""}
        self.voices = tuple(
            Voice(id, name or checkpoint, known.language, engine, known.gender)
            for id, name in (self._speakers | self._files).items()
            for known in (SPEAKERS.get(name.lower(), Speaker(only, "")),)
        )
        own = {primary(voice.language): voice.id for voice in reversed(self.voices) if voice.language}
        self.default_voices = {tag: own.get(tag, self.voices[0].id) for tag in languages}
        """The voice of each language, by primary subtag."""

    def prompt_text(self, text: str, voice: str | None, language: str) -> str:
        """The text with its prefix, for a voice id (None: no speaker) and a language (BCP 47)."""
        start = self._speakers.get(voice or "", "") or self._tag(language)
        return f"{start}: {text}" if start else text

    def _tag(self, language: str) -> str:
        """The tag of exactly that language, of its primary subtag, or the first one of that language."""
        wanted = canonical(language)
        while wanted:
            if wanted in self._tags:
                return self._tags[wanted]
            wanted = wanted.rpartition("-")[0]
        same = (tag for known, tag in self._tags.items() if primary(known) == primary(language))
        return next(same, "")


def _by_language(tags: Sequence[str]) -> dict[str, str]:
    """Tags by their languages (BCP 47); the first of two with the same meaning."""
    known: dict[str, str] = {}
    for tag in tags:
        try:
            known.setdefault(resolve(tag), tag)
        except UnsupportedLanguage:
            logger.warning("ignoring the Kani checkpoint's unknown language tag %r", tag)
    return known
