"""Whom speech is to sound like: what engines take from recordings, a client's or those of kept voices."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

from speech.audio.pcm import REFERENCE_RATE, decode_recording
from speech.engine import CloningEngine, Engine
from speech.engine import CloningKind as Kind
from speech.errors import Busy, InvalidRequest, NameTaken, SpeechError, StoreUnavailable
from speech.text.languages import primary
from speech.types import Embedding, Recording, Similarity
from speech.voices.embedding_cache import EmbeddingCache
from speech.voices.refinement_queue import RefinementQueue
from speech.voices.store import CUSTOM_PREFIX, StoredVoice, VoiceStore

log = logging.getLogger(__name__)

MAX_CONCURRENT = 2
"""How many recordings are put into numbers at a time, and how many are judged: each takes a core."""

MAX_PENDING_ADDS = 16
"""How many voices are added or wait to be: each holds its recording."""

MAX_WAITING_RECORDINGS = 4
"""Beyond so many voices that wait to be refined no recording is held for it that a client sent."""

MIN_REFERENCE_S = 0.5
"""Seconds of a recording at least, for anything to be heard of a voice."""

Reference = Recording | StoredVoice | tuple[Embedding, ...]
"""Whom speech is to sound like: a client's recording, a kept voice, or what engines took from either."""


@dataclass(frozen=True, slots=True)
class CloningStatus:
    """How an engine speaks like a kept voice.

    state: "ready", "refining" while it becomes better in the background, or "missing" until it is asked
    for the first time (and where the engine does not clone); similarity: by primary language subtag, of an
    engine that comes only near.
    """

    engine: str
    cloning: Kind
    state: Literal["ready", "refining", "missing"]
    similarity: Mapping[str, Similarity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    """A recording that is at hand, or that of a kept voice; ``key`` tells it from all others."""

    key: str
    recording: Recording | None = None
    kept: StoredVoice | None = None


class VoiceCloner:
    """Makes embeddings, each once, keeps those of kept voices, and makes them better in the background.

    default_language: BCP 47, for which a kept voice without a language is made better first.
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
        """Have these engines from now on, which have been started."""
        self._engines = tuple(engines)

    async def stop(self) -> None:
        """Nothing is made any more, and nothing of what was is left in memory."""
        await self._refinement.stop()
        await self._embeddings.stop()

    async def embed(self, engine: Engine, reference: Reference, language: str) -> Embedding | None:
        """What ``engine`` needs to speak ``language`` (BCP 47) like ``reference``; None if it can't.

        The first time it takes a second or a few (docs/benchmarks.md). A kept voice becomes better in the
        background, and a recording that comes a second time. Raises InvalidRequest for ``reference`` where
        there is no speech in it, UnknownVoice for a kept voice that is gone, Busy, and EngineFailed.
        """
        info = engine.info
        if info.cloning == "none":
            return None
        if isinstance(reference, tuple):
            fitting = (
                one for one in reference if (one.engine, one.model) == (info.name, info.embedding_model)
            )
            return next(fitting, None)
        if isinstance(reference, Recording) and reference.duration_s < MIN_REFERENCE_S:
            raise InvalidRequest("reference", f"too short (at least {MIN_REFERENCE_S:g} s)")
        sound = await _sound(reference)
        clones = cast(CloningEngine, engine)
        key = (sound.key, info.embedding_model)
        again = self._embeddings.cached(key) is not None
        embedding = await self._embeddings.get(key, partial(self._make, clones, sound))
        if sound.kept is not None or again:
            self._refine(clones, sound, embedding, language)
        return embedding

    async def embed_with_all_engines(self, recording: Recording) -> tuple[Embedding, ...]:
        """What each engine takes from a recording. Raises as ``embedding``."""
        made = [await self.embed(engine, recording, self._default_language) for engine in self._engines]
        return tuple(embedding for embedding in made if embedding is not None)

    async def add(
        self,
        name: str,
        recording: bytes,
        *,
        origin: str,
        consent: str = "",
        consent_recording: bytes | None = None,
        language: str | None = None,
        description: str = "",
    ) -> StoredVoice:
        """Keep a voice, and have every engine know it that can; it becomes better in the background.

        Raises as ``VoiceStore.add``, OSError where it cannot be written, and Busy.
        """
        self._check_name(name)
        if self._added >= MAX_PENDING_ADDS:
            raise Busy("too many voices are being added: try again later")
        keep = partial(
            self._store.add,
            name,
            recording,
            origin=origin,
            consent=consent,
            consent_recording=consent_recording,
            language=language,
            description=description,
        )
        self._added += 1
        try:
            async with self._adding:
                voice = await asyncio.to_thread(keep)
        finally:
            self._added -= 1
        await self._take_up(voice)
        return voice

    async def rename(self, name: str, new: str) -> StoredVoice:
        """Call a kept voice otherwise. Raises as ``VoiceStore.rename``."""
        self._check_name(new)
        try:
            voice = await asyncio.to_thread(self._store.rename, name, new)
        except OSError:
            # It may be done though the disk failed.
            await self._forget(name)
            raise
        await self._forget(name)
        await self._take_up(voice)
        return voice

    async def delete(self, name: str) -> None:
        """Remove a kept voice and all that was made of it. Raises UnknownVoice, and OSError."""
        try:
            await asyncio.to_thread(self._store.delete, name)
        finally:
            await self._forget(name)

    def statuses(self, voice: StoredVoice) -> list[CloningStatus]:
        """How each engine speaks like a kept voice. Raises UnknownVoice. Reads files: call it in a thread."""
        likenesses = []
        kept = {embedding.model: embedding for embedding in self._store.embeddings(voice)}
        for engine in self._engines:
            info = engine.info
            known = kept.get(info.embedding_model) if info.cloning != "none" else None
            if known is None:
                likenesses.append(CloningStatus(info.name, info.cloning, "missing"))
                continue
            refining = self._refinement.is_pending(_key(voice), info.embedding_model)
            state: Literal["ready", "refining"] = "refining" if refining else "ready"
            likenesses.append(CloningStatus(info.name, info.cloning, state, known.similarity))
        return likenesses

    def _check_name(self, name: str) -> None:
        """Raise NameTaken for what an engine's own voice is called: the shorter id would mean either."""
        if any(voice.id == name for engine in self._engines for voice in engine.info.voices):
            raise NameTaken(name)

    async def _take_up(self, voice: StoredVoice) -> None:
        """Have every engine know a kept voice, as far as it can."""
        for engine in self._engines:
            try:
                await self.embed(engine, voice, voice.language or self._default_language)
            except SpeechError as error:
                # It is kept whole: another engine may do better, or this one another time.
                log.warning("%s could not take up a kept voice: %s", engine.info.name, type(error).__name__)

    async def _forget(self, name: str) -> None:
        """Have nothing in memory any more of the kept voice that was called so."""
        sounds = f"{CUSTOM_PREFIX}{unicodedata.normalize('NFC', name.removeprefix(CUSTOM_PREFIX))} "
        await self._refinement.forget(sounds)
        self._embeddings.forget(sounds)

    async def _make(self, engine: CloningEngine, sound: _Sound) -> Embedding:
        """The embedding that was kept, or a new one. Raises as ``embedding``."""
        voice = sound.kept
        if voice is None:
            assert sound.recording is not None
            return await engine.embed(sound.recording)
        kept = await asyncio.to_thread(self._store.embedding, voice, engine.info.embedding_model)
        if kept is not None:
            return kept
        embedding = await engine.embed(await asyncio.to_thread(self._recording_of, voice))
        await self._keep(voice, embedding)
        return embedding

    def _refine(self, engine: CloningEngine, sound: _Sound, embedding: Embedding, language: str) -> None:
        """See that it becomes better for this language, if it is not yet as good as it can be."""
        spoken = primary(language)
        foreseen = embedding.similarity.get(spoken)
        if sound.kept is None and self._refinement.waiting >= MAX_WAITING_RECORDINGS:
            return
        if foreseen is not None and not foreseen.measured:
            name = (sound.key, engine.info.embedding_model, spoken)
            self._refinement.submit(name, partial(self._refined, engine, sound, embedding, language))

    async def _refined(
        self, engine: CloningEngine, sound: _Sound, embedding: Embedding, language: str
    ) -> None:
        voice, recording = sound.kept, sound.recording
        if recording is None:
            assert voice is not None
            recording = await asyncio.to_thread(self._recording_of, voice)
        key = (sound.key, engine.info.embedding_model)
        # What was found for another language meanwhile stays, by whichever server.
        if voice is not None:
            kept = await asyncio.to_thread(self._store.embedding, voice, engine.info.embedding_model)
            embedding = kept or embedding
        else:
            embedding = self._embeddings.cached(key) or embedding
        async with aclosing(engine.refine(recording, embedding, language)) as better:
            async for embedding in better:
                self._embeddings.put(key, embedding)
        if voice is not None:
            await self._keep(voice, embedding)

    async def _keep(self, voice: StoredVoice, embedding: Embedding) -> None:
        try:
            await asyncio.to_thread(self._store.save_embedding, voice, embedding)
        except (OSError, StoreUnavailable) as error:
            # It can be made anew from the recording.
            log.warning("what %s took from a kept voice could not be written: %s", embedding.engine, error)

    def _recording_of(self, voice: StoredVoice) -> Recording:
        return decode_recording(self._store.recording(voice), sample_rate=REFERENCE_RATE)


async def _sound(reference: Recording | StoredVoice) -> _Sound:
    if isinstance(reference, StoredVoice):
        return _Sound(_key(reference), kept=reference)
    digest = hashlib.sha256(str(reference.sample_rate).encode())
    await asyncio.to_thread(digest.update, reference.samples.data)
    return _Sound(digest.hexdigest(), recording=reference)


def _key(voice: StoredVoice) -> str:
    return f"{voice.id} {voice.sha256}"
