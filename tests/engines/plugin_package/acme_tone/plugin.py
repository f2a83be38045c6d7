"""What the server reads of this package before it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, SecretStr

from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources
from kani.engines.plugin_settings import PluginSettings, setting
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings

if TYPE_CHECKING:
    from kani.core.engine import Engine
    from kani.core.recognizer import Recognizer
    from kani.protocols.shared.protocol import Protocol

CommaList = Annotated[
    tuple[str, ...], BeforeValidator(lambda tags: tags.split(",") if isinstance(tags, str) else tags)
]


TONES, LINES = "Acme's tones", "Acme's lines"


class ToneSettings(PluginSettings):
    """Settings of the tones."""

    pitch: float = setting(
        440.0, "KANI_ACME_PITCH", group=TONES, unit="hertz", ge=50, le=5000, about="Frequency, 100% of it."
    )
    languages: CommaList = setting(("es", "en"), "KANI_ACME_LANGUAGES", group=TONES, about="Languages.")
    key: SecretStr | None = setting(
        None, "KANI_ACME_KEY", "ACME_KEY", group=TONES, about="Key that has to be `open`."
    )


class TakenSettings(PluginSettings):
    """A variable that is the server's own."""

    voice: str = setting("", "KANI_VOICE", group=TONES, about="Voice.")


class EarSettings(PluginSettings):
    """Settings of the recogniser."""

    word: str = setting("tone", "KANI_ACME_EAR_WORD", group="Acme's ear", about="Word for a tone.")


class LineSettings(PluginSettings):
    """Settings of the protocol."""

    open: bool = setting(False, "KANI_ACME_LINE", group=LINES, about="Open the port for lines.")
    port: int = setting(9009, "KANI_ACME_LINE_PORT", group=LINES, ge=0, le=65535, about="That port.")
    allow: CommaList = setting(
        ("127.0.0.0/8", "::1"), "KANI_ACME_LINE_ALLOW", group=LINES, about="Networks of clients."
    )
    path: str = setting("/acme", "KANI_ACME_LINE_PATH", group=LINES, about="Path of the WebSocket.")


def build_engine(settings: ToneSettings, resources: Resources) -> Engine:
    """Import the engine, and build it."""
    from acme_tone.engine import ToneEngine

    key = settings.key.get_secret_value() if settings.key is not None else ""
    return ToneEngine(settings.pitch, settings.languages, key, resources.cache_dir)


def prepare(settings: ToneSettings, resources: Resources) -> None:
    """Make the file that the engine reads."""
    from acme_tone.engine import write_table

    write_table(resources.cache_dir)


def build_recognizer(settings: EarSettings, resources: Resources) -> Recognizer:
    """Import the recogniser, and build it."""
    from acme_tone.ear import Ear

    return Ear(settings.word)


ENGINE = EnginePlugin("acme", ToneSettings, build_engine, prepare)
TWICE = EnginePlugin(
    "acme_twice", TakenSettings, lambda _, resources: build_engine(ToneSettings(), resources)
)


def build_protocol(settings: LineSettings, server: ServerSettings) -> Protocol:
    """Import the protocol, and build it."""
    from acme_tone.line import protocol

    return protocol(settings.path)


PROTOCOL = ProtocolPlugin("acme_line", LineSettings, build_protocol)
RECOGNIZER = RecognizerPlugin("acme_ear", EarSettings, build_recognizer)
