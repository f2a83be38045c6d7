"""The voices as VoxCPM's clients are shown them: each in a category, with a sentence to hear it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from protocols.voxcpm.sample_sentences import sample_sentence
from protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder
from speech.text.languages import english_name, primary
from speech.types import Voice
from speech.voices.catalogue import VoiceCatalogue
from speech.voices.store import CUSTOM_PREFIX

CUSTOM_CATEGORY = "custom"
"""The category of the voices that clients keep here."""

OTHER_CATEGORY = "Other"


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice of a list; source: what it is to the server."""

    id: str
    name: str
    category: str
    sample_text: str
    source: Voice | FolderVoice

    def row(self) -> dict[str, Any]:
        """What an answer shows of it."""
        return {
            "id": self.id,
            "name": self.name,
            "category": self.category,
            "sample_text": self.sample_text,
            "audio_url": f"/api/voices/{quote(self.id, safe='')}/audio",
        }

    def matches(self, words: str) -> bool:
        """Whether ``words``, folded in case, are somewhere in what is shown of it."""
        return any(words in text.casefold() for text in (self.id, self.name, self.category, self.sample_text))


def list_voices(catalogue: VoiceCatalogue, folder: VoiceFolder) -> dict[str, ListedVoice]:
    """Every voice by its id, in the order of a list; blocks on files.

    Built-in voices are in the category of their language's English name. One of the folder that has
    the id of another is left out, as a request by that id means the other. Categories come in the order of
    the best engine of their voices, and so do the voices of each, where the catalogue has the best first;
    kept voices and those of the folder are among the best.
    """
    built_in_and_kept = catalogue.list()
    voices = [
        ListedVoice(voice.id, voice.name, _category(voice), sample_sentence(voice.language), voice)
        for voice in built_in_and_kept
    ]
    voices += [
        ListedVoice(voice.id, voice.name, voice.category, voice.sample_text, voice) for voice in folder.list()
    ]
    engines = list(dict.fromkeys(voice.engine for voice in built_in_and_kept if not _is_kept(voice)))

    def rank(voice: ListedVoice) -> int:
        source = voice.source
        return engines.index(source.engine) if isinstance(source, Voice) and not _is_kept(source) else 0

    best: dict[str, int] = {}
    for voice in voices:
        best[voice.category] = min(rank(voice), best.get(voice.category, len(engines)))
    by_id: dict[str, ListedVoice] = {}
    for voice in sorted(voices, key=lambda each: (best[each.category], each.category, rank(each), each.name)):
        if voice.id not in by_id or isinstance(voice.source, Voice):
            by_id[voice.id] = voice
    return by_id


def _is_kept(voice: Voice) -> bool:
    return voice.id.startswith(CUSTOM_PREFIX)


def _category(voice: Voice) -> str:
    if _is_kept(voice):
        return CUSTOM_CATEGORY
    return english_name(primary(voice.language)) or OTHER_CATEGORY
