"""Stored embeddings: kept per engine, with the model that made them."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kani.core.errors import UnknownVoice
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Similarity
from kani.core.voices.store import VoiceStore
from kani.core.voices.store_files import hashed_name
from tests.core.voices.test_store import add, recording

SIMILARITY = {"es": Similarity(0.81, 0.95, True), "en": Similarity(0.7, 0.75, False)}


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path)


def embedding(engine: str = "kokoro", model: str = "near-1", size: int = 256) -> Embedding:
    values = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    return Embedding(engine, model, values, SIMILARITY)


def same(one: Embedding | None, other: Embedding) -> bool:
    return (
        one is not None
        and (one.engine, one.model) == (other.engine, other.model)
        and one.values.dtype == np.float32
        and np.array_equal(one.values, other.values)
        and one.similarity == other.similarity
    )


def test_embedding_is_stored_exactly(store: VoiceStore, tmp_path: Path) -> None:
    assert store.embeddings(add(store)) == ()
    made = embedding(size=MAX_EMBEDDING_VALUES)
    store.save_embedding(store.get("ana"), made)
    for reader in (store, VoiceStore(tmp_path)):
        assert same(reader.embedding(reader.get("custom:ana"), "near-1"), made)
        assert reader.embedding(reader.get("ana"), "near-2") is None
        assert [same(one, made) for one in reader.embeddings(reader.get("ana"))] == [True]


def test_each_engine_has_its_own_embedding(store: VoiceStore) -> None:
    voice = add(store)
    kept = [embedding("kokoro", "near-1"), embedding("kani/2 ../x", "wavlm-1"), embedding("kokoro", "near-2")]
    for one in kept:
        store.save_embedding(voice, one)
    assert sorted(one.model for one in store.embeddings(store.get("ana"))) == ["near-2", "wavlm-1"]
    assert store.embedding(store.get("ana"), "near-1") is None
    assert same(store.embedding(store.get("ana"), "wavlm-1"), kept[1])


def test_embedding_of_replaced_voice_is_not_stored(store: VoiceStore, tmp_path: Path) -> None:
    voice = add(store)
    store.delete("ana")
    store.save_embedding(voice, embedding())
    assert not (tmp_path / "voices" / hashed_name("ana")).exists()
    add(store, recording=recording(4.0))
    store.save_embedding(voice, embedding())
    assert store.embeddings(store.get("ana")) == ()
    renamed = store.rename("ana", "eva")
    store.save_embedding(voice, embedding())
    assert store.embeddings(store.get("eva")) == ()
    store.save_embedding(renamed, embedding())
    assert len(store.embeddings(store.get("eva"))) == 1


def test_unknown_voice_has_no_embedding(store: VoiceStore) -> None:
    voice = add(store)
    store.delete("ana")
    for _ in range(2):
        with pytest.raises(UnknownVoice):
            store.embeddings(voice)
        with pytest.raises(UnknownVoice):
            store.embedding(voice, "near-1")
        with pytest.raises(UnknownVoice):
            store.recording(voice)
        if not store.list():
            store.add("ana", recording(5.0), "It is me.", origin="test")
            store.save_embedding(store.get("ana"), embedding())


@pytest.mark.parametrize(
    "wrong",
    [
        Embedding("e", "m", np.zeros(0, np.float32)),
        Embedding("e", "m", np.zeros(MAX_EMBEDDING_VALUES + 1, np.float32)),
        Embedding("e", "m", np.zeros((2, 2), np.float32)),
        Embedding("e", "m", np.zeros(2, np.float64)),  # type: ignore[arg-type]
        Embedding("e", "m", np.array([1.0, np.nan], np.float32)),
        Embedding("e", "m", np.zeros(2, np.float32), {"es": Similarity(0.5, float("inf"), False)}),
    ],
)
def test_invalid_embedding_is_refused(store: VoiceStore, wrong: Embedding) -> None:
    voice = add(store)
    with pytest.raises(ValueError, match=r"an embedding|a similarity"):
        store.save_embedding(voice, wrong)
    assert store.embeddings(store.get("ana")) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"values": "AAAA"},
        {"values": ""},
        {"values": "AADAfw=="},
        {"recording": "0" * 64},
        {"engine": 1},
        {"unknown": 1},
        {"similarity": {"es": {"before": None, "now": 0.5, "measured": True}}},
        {"similarity": {"es": 0.5}},
    ],
)
def test_broken_embedding_is_skipped(
    store: VoiceStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    voice = add(store)
    store.save_embedding(voice, embedding())
    (path,) = (tmp_path / "voices" / hashed_name("ana")).glob("*.embedding.json")
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | change))
    with caplog.at_level(logging.WARNING):
        assert store.embedding(store.get("ana"), "near-1") is None
    assert "unreadable embedding of stored voice" in caplog.text
    store.save_embedding(voice, embedding())
    assert same(store.embedding(store.get("ana"), "near-1"), embedding())


def test_truncated_embedding_is_skipped(store: VoiceStore, tmp_path: Path) -> None:
    store.save_embedding(add(store), embedding())
    (path,) = (tmp_path / "voices" / hashed_name("ana")).glob("*.embedding.json")
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        assert store.embeddings(store.get("ana")) == ()
