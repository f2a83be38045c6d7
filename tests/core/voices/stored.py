"""Stored voices: valid ones, each change of them, and all that a store holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kani.core.audio.pcm import wav
from kani.core.types import Embedding, Similarity
from kani.core.voices.store import NewVoice, StoredVoice, VoiceStore

CONSENT = "I, Ana, agree to my voice being kept and used by this server."


def recording(seconds: float = 3.5, level: float = 0.2) -> bytes:
    tone = level * np.sin(np.arange(round(seconds * 8000)) * 0.3)
    return wav(tone.astype(np.float32), 8000)


RECORDING, SPOKEN = recording(3.0), recording(1.0)


def add(store: VoiceStore, name: str = "ana", **changes: object) -> StoredVoice:
    given = {"recording": RECORDING, "consent": CONSENT, "origin": "test", **changes}
    return store.add(NewVoice(name, **given))  # type: ignore[arg-type]


def embedding(number: float = 1.0, engine: str = "kokoro", model: str = "near-1") -> Embedding:
    similarity = {"es": Similarity(0.81, 0.95, True), "en": Similarity(0.7, 0.75, False)}
    return Embedding(engine, model, np.full(256, number, np.float32), similarity)


def with_a_voice(store: VoiceStore) -> None:
    store.save_embedding(add(store, consent_recording=SPOKEN), embedding(1))


CHANGES: dict[str, Callable[[VoiceStore], object]] = {
    "add": lambda store: add(store, "eva", consent_recording=SPOKEN),
    "rename": lambda store: store.rename("ana", "eva"),
    "embedding": lambda store: store.save_embedding(store.get("ana"), embedding(2)),
    "delete": lambda store: store.delete("ana"),
}


def content(store: VoiceStore) -> dict[str, object]:
    return {
        voice.name: (
            replace(voice, consent_at="", renamed_at=None),
            voice.renamed_at is not None,
            store.recording(voice),
            store.consent_recording(voice.name),
            [(one.model, one.values.tolist()) for one in store.embeddings(voice)],
        )
        for voice in store.list()
    }


def files_below(folder: Path) -> list[Path]:
    """All files of voices, temporary ones too."""
    own = {"lock", "version"}
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in own]
