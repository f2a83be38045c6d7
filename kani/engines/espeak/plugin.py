"""Description of espeak-ng for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.plugin_settings import PluginSettings

if TYPE_CHECKING:
    from kani.engines.espeak.engine import EspeakEngine
    from kani.engines.known_voices import KnownVoices


def build(settings: PluginSettings, resources: Resources) -> EspeakEngine:
    from kani.engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def known_voices(settings: PluginSettings) -> KnownVoices:
    """List its voices and languages. Blocks for 0.1 s."""
    from kani.engines.espeak.client import EspeakClient
    from kani.engines.espeak.engine import VOICE_PREFIX, default_voice_names
    from kani.engines.known_voices import KnownVoices

    voices = EspeakClient.shared().voices
    ids = {VOICE_PREFIX + voice.name for voice in voices}
    return KnownVoices(frozenset(ids), frozenset(default_voice_names(voices)))


ENGINE = EnginePlugin("espeak", PluginSettings, build, known_voices=known_voices, takes_model=False)
