"""The list of voices for VoxCPM's clients: each with a category and a sample sentence."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue
from kani.core.voices.sample_sentences import sentence
from kani.core.voices.store import CUSTOM_PREFIX
from kani.protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder
from kani_text.languages import english_name, primary

CUSTOM_CATEGORY = "custom"
"""Category of the voices that clients have stored."""

OTHER_CATEGORY = "Other"

FALLBACK_SENTENCE = "1, 2, 3, 4, 5."
"""Sample for other languages: nearly all have words for numbers."""


@dataclass(frozen=True, slots=True)
class ListedVoice:
    id: str
    name: str
    category: str
    sample_text: str
    source: Voice | FolderVoice  # the voice of the catalogue or of the voice folder

    def row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "category": self.category,
            "sample_text": self.sample_text,
            "audio_url": f"/api/voices/{quote(self.id, safe='')}/audio",
        }

    def matches(self, words: str) -> bool:
        """Return whether ``words``, case-folded, occur in any of its texts."""
        return any(words in text.casefold() for text in (self.id, self.name, self.category, self.sample_text))


def list_voices(catalogue: VoiceCatalogue, folder: VoiceFolder) -> dict[str, ListedVoice]:
    """Return every voice by its id, in the order of the list. Blocks on files.

    Stored voices are left out while their place is away.
    The category of a built-in voice is its language's English name. A voice of the folder with the id of
    another voice is left out: a request with that id gets the other one. Categories are ordered by the best
    engine among their voices, the voices of a category by their engine, best first as in the catalogue;
    stored voices and those of the folder rank with the best engine.
    """
    catalogue_voices = catalogue.list()
    voices = [
        ListedVoice(voice.id, voice.name, _category(voice), sample_sentence(voice.language), voice)
        for voice in catalogue_voices
    ]
    voices += [
        ListedVoice(voice.id, voice.name, voice.category, voice.sample_text, voice) for voice in folder.list()
    ]
    engines = list(dict.fromkeys(voice.engine for voice in catalogue_voices if not _is_stored(voice)))

    def rank(voice: ListedVoice) -> int:
        source = voice.source
        return engines.index(source.engine) if isinstance(source, Voice) and not _is_stored(source) else 0

    best: dict[str, int] = {}
    for voice in voices:
        best[voice.category] = min(rank(voice), best.get(voice.category, len(engines)))
    by_id: dict[str, ListedVoice] = {}
    for voice in sorted(voices, key=lambda each: (best[each.category], each.category, rank(each), each.name)):
        if voice.id not in by_id or isinstance(voice.source, Voice):
            by_id[voice.id] = voice
    return by_id


def sample_sentence(language: str) -> str:
    """Return the sentence for voices of a language (BCP 47); English for a voice without one."""
    return sentence(language or "en") or FALLBACK_SENTENCE


def _is_stored(voice: Voice) -> bool:
    return voice.id.startswith(CUSTOM_PREFIX)


def _category(voice: Voice) -> str:
    if _is_stored(voice):
        return CUSTOM_CATEGORY
    return english_name(primary(voice.language)) or OTHER_CATEGORY
