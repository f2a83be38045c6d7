"""Description of Kokoro for the server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import EnginePlugin, Resources

if TYPE_CHECKING:
    from kani.engines.known_voices import KnownVoices
    from kani.engines.kokoro.engine import KokoroEngine


def build(settings: KokoroSettings, resources: Resources) -> KokoroEngine:
    """Build the engine; its network is loaded by its start."""
    from kani.engines.kokoro.engine import KokoroEngine

    # Its files lie beside the folders of the other engines.
    return KokoroEngine(settings, replace(resources, cache_dir=resources.cache_dir.parent))


def known_voices(settings: KokoroSettings) -> KnownVoices:
    """List its voices and languages, without those of missing packages.

    Raises EngineUnavailable.
    """
    from kani.engines.known_voices import KnownVoices
    from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices

    if settings.student == "only":
        from kani.engines.kokoro.student.files import find_students

        students = [files.facts for files in find_students(settings.students, Voices().all)]
        return KnownVoices(
            frozenset(each.voice for each in students), frozenset(each.language for each in students)
        )
    from kani.engines.kokoro.checkpoints.files import read_checkpoints
    from kani.engines.kokoro.text.readers import missing_packages
    from kani_text.languages import primary

    models, voices = dict(settings.models), Voices().all
    spoken = {language for language in DEFAULT_VOICES if not missing_packages(language)}
    ids = {voice.id for voice in voices if primary(voice.language) in spoken.difference(models)}
    ids |= {voice.id for files in read_checkpoints(models, voices) for voice in files.voices}
    return KnownVoices(frozenset(ids), frozenset(spoken.union(settings.accented, models)))


ENGINE = EnginePlugin("kokoro", KokoroSettings, build, known_voices=known_voices, takes_model=False)
