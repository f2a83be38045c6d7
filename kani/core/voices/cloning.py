"""Speaker embeddings for client recordings and stored voices."""

import asyncio
import hashlib
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

from kani.core.audio.pcm import REFERENCE_RATE, decode_recording
from kani.core.engine import CloningEngine, Engine, RefiningEngine
from kani.core.engine import CloningKind as Kind
from kani.core.errors import Busy, InvalidRequest, NameTaken, SpeechError, StoreUnavailable
from kani.core.types import Embedding, Recording, Similarity
from kani.core.voices.embedding_cache import EmbeddingCache, Key
from kani.core.voices.refinement_queue import RefinementQueue
from kani.core.voices.store import CUSTOM_PREFIX, NewVoice, StoredVoice, VoiceStore
from kani_text.languages import primary

log = logging.getLogger(__name__)

MAX_CONCURRENT = 2
"""Recordings embedded at a time, and recordings checked at a time: each takes a core."""

MAX_PENDING_ADDS = 16
"""Voices being added or waiting to be: each holds its recording in memory."""

MAX_WAITING_RECORDINGS = 4
"""With this many refinements waiting, client recordings are no longer held in memory for refinement."""

MIN_REFERENCE_S = 0.5
"""Shortest reference recording, in seconds."""

_Sound = Recording | StoredVoice
Reference = _Sound | tuple[Embedding, ...]
"""A target voice: a client's recording, a stored voice, or embeddings made of either."""


@dataclass(frozen=True, slots=True)
class CloningStatus:
    """An engine's embedding of one stored voice."""

    engine: str
    cloning: Kind
    state: Literal["ready", "refining", "missing"]
    """State: "ready", "refining" in the background, or "missing" until first used (or if it does not clone).
    """
    similarity: Mapping[str, Similarity] = field(default_factory=dict)
    """Similarity by primary language subtag, of an engine that approximates with its own voices."""


class VoiceCloner:
    """Makes embeddings, each once; stores those of stored voices; refines them in the background.

    default_language: BCP 47; a stored voice without a language is refined for it first.
    """

    def __init__(self, store: VoiceStore, default_language: str) -> None:
        self._store = store
        self._default_language = default_language
        self._engines: tuple[Engine, ...] = ()
        self._embeddings = EmbeddingCache(MAX_CONCURRENT)
        self._refinement = RefinementQueue()
        self._adding = asyncio.Semaphore(MAX_CONCURRENT)
        self._added = 0

    def start(self, engines: Sequence[Engine]) -> None:
        """Use these started engines from now on."""
        self._engines = tuple(engines)

    async def stop(self) -> None:
        """End all background work and forget all embeddings in memory."""
        await self._refinement.stop()
        await self._embeddings.stop()

    async def embed(self, engine: Engine, reference: Reference, language: str) -> Embedding | None:
        """The embedding with which ``engine`` speaks ``language`` (BCP 47) like ``reference``; None if it
        cannot clone.

        The first call for a reference takes a second or a few (docs/benchmarks.md). A stored voice is refined
        in the background, and so is a recording from its second time on. Raises InvalidRequest for
        ``reference`` where it holds no speech, UnknownVoice for a stored voice that was deleted, Busy, and
        EngineFailed.
        """
        info = engine.info
        if info.cloning.kind == "none":
            return None
        if isinstance(reference, tuple):
            fitting = (one for one in reference if (one.engine, one.model) == (info.name, info.cloning.model))
            return next(fitting, None)
        if isinstance(reference, Recording) and reference.duration_s < MIN_REFERENCE_S:
            raise InvalidRequest("reference", f"too short (at least {MIN_REFERENCE_S:g} s)")
        clones = cast(CloningEngine, engine)
        key = (await _key_of(reference), info.cloning.model)
        again = self._embeddings.cached(key) is not None
        embedding = await self._embeddings.get(key, partial(self._make, clones, reference))
        if again or isinstance(reference, StoredVoice):
            self._refine(clones, key, reference, embedding, language)
        return embedding

    async def embed_with_all_engines(self, recording: Recording) -> tuple[Embedding, ...]:
        """Embed a recording with every engine that clones. Raises as ``embed``."""
        made = [await self.embed(engine, recording, self._default_language) for engine in self._engines]
        return tuple(embedding for embedding in made if embedding is not None)

    async def add(self, new: NewVoice) -> StoredVoice:
        """Store a voice and embed it with all engines; it is refined in the background.

        Raises as ``VoiceStore.add``, OSError where it cannot be written, and Busy.
        """
        self._check_name(new.name)
        if self._added >= MAX_PENDING_ADDS:
            raise Busy("too many voices are being added: try again later")
        self._added += 1
        try:
            async with self._adding:
                voice = await asyncio.to_thread(self._store.add, new)
        finally:
            self._added -= 1
        await self._embed_with_all(voice)
        return voice

    async def rename(self, name: str, new: str) -> StoredVoice:
        """Rename a stored voice. Raises as ``VoiceStore.rename``."""
        self._check_name(new)
        try:
            voice = await asyncio.to_thread(self._store.rename, name, new)
        except OSError:
            # The rename may have taken place although the disk failed.
            await self._forget(name)
            raise
        await self._forget(name)
        await self._embed_with_all(voice)
        return voice

    async def delete(self, name: str) -> None:
        """Delete a stored voice and all its embeddings. Raises UnknownVoice, and OSError."""
        try:
            await asyncio.to_thread(self._store.delete, name)
        finally:
            await self._forget(name)

    def statuses(self, voice: StoredVoice) -> list[CloningStatus]:
        """Each engine's state for a stored voice. Raises UnknownVoice. Reads files: call it in a thread."""
        statuses = []
        stored = self._store.similarities(voice)
        for engine in self._engines:
            info = engine.info
            known = stored.get(info.cloning.model) if info.cloning.kind != "none" else None
            if known is None:
                statuses.append(CloningStatus(info.name, info.cloning.kind, "missing"))
                continue
            refining = self._refinement.is_pending(_voice_key(voice), info.cloning.model)
            state: Literal["ready", "refining"] = "refining" if refining else "ready"
            statuses.append(CloningStatus(info.name, info.cloning.kind, state, known))
        return statuses

    def _check_name(self, name: str) -> None:
        """Raise NameTaken for the id of an engine's own voice: a request's short name would be ambiguous."""
        if any(voice.id == name for engine in self._engines for voice in engine.info.voices):
            raise NameTaken(name)

    async def _embed_with_all(self, voice: StoredVoice) -> None:
        """Embed a stored voice with all engines; failures are logged."""
        for engine in self._engines:
            try:
                await self.embed(engine, voice, voice.language or self._default_language)
            except SpeechError as error:
                # The recording is stored: another engine may succeed, or this one at another time.
                log.warning(
                    "engine %s could not embed a stored voice: %s", engine.info.name, type(error).__name__
                )

    async def _forget(self, name: str) -> None:
        """Drop every embedding and refinement in memory of the stored voice of this name."""
        prefix = f"{CUSTOM_PREFIX}{unicodedata.normalize('NFC', name.removeprefix(CUSTOM_PREFIX))} "
        await self._refinement.forget(prefix)
        self._embeddings.forget(prefix)

    async def _make(self, engine: CloningEngine, sound: _Sound) -> Embedding:
        """The stored embedding, or a new one. Raises as ``embed``."""
        if isinstance(sound, Recording):
            return await engine.embed(sound)
        stored = await asyncio.to_thread(self._store.embedding, sound, engine.info.cloning.model)
        if stored is not None:
            return stored
        embedding = await engine.embed(await asyncio.to_thread(self._recording_of, sound))
        await self._keep(sound, embedding)
        return embedding

    def _refine(
        self, engine: CloningEngine, key: Key, sound: _Sound, embedding: Embedding, language: str
    ) -> None:
        """Queue a refinement for this language unless its similarity was measured already."""
        spoken = primary(language)
        predicted = embedding.similarity.get(spoken)
        if isinstance(sound, Recording) and self._refinement.waiting >= MAX_WAITING_RECORDINGS:
            return
        nearest = engine.info.cloning.kind == "nearest voice"
        if nearest and predicted is not None and not predicted.measured:
            self._refinement.submit(
                (*key, spoken), partial(self._refined, engine, key, sound, embedding, language)
            )

    async def _refined(
        self, engine: CloningEngine, key: Key, sound: _Sound, embedding: Embedding, language: str
    ) -> None:
        recording = await asyncio.to_thread(self._recording_of, sound)
        # Keep what was refined for another language meanwhile, maybe by another server.
        if isinstance(sound, Recording):
            embedding = self._embeddings.cached(key) or embedding
        else:
            stored = await asyncio.to_thread(self._store.embedding, sound, key[1])
            embedding = stored or embedding
        refining = cast(RefiningEngine, engine).refine(recording, embedding, language)
        async with aclosing(refining) as better:
            async for embedding in better:
                self._embeddings.put(key, embedding)
        if isinstance(sound, StoredVoice):
            await self._keep(sound, embedding)

    async def _keep(self, voice: StoredVoice, embedding: Embedding) -> None:
        try:
            await asyncio.to_thread(self._store.save_embedding, voice, embedding)
        except (OSError, StoreUnavailable) as error:
            # It can be made again from the recording.
            log.warning(
                "engine %s: the embedding of a stored voice was not written: %s", embedding.engine, error
            )

    def _recording_of(self, sound: _Sound) -> Recording:
        """Return a recording, or read that of a stored voice: call it in a thread."""
        if isinstance(sound, Recording):
            return sound
        return decode_recording(self._store.recording(sound), sample_rate=REFERENCE_RATE)


async def _key_of(sound: _Sound) -> str:
    """Return what identifies a recording, or that of a stored voice."""
    if isinstance(sound, StoredVoice):
        return _voice_key(sound)
    digest = hashlib.sha256(str(sound.sample_rate).encode())
    await asyncio.to_thread(digest.update, sound.samples.data)
    return digest.hexdigest()


def _voice_key(voice: StoredVoice) -> str:
    return f"{voice.id} {voice.sha256}"
