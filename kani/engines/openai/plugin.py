"""Descriptions of a server of OpenAI's audio API, as an engine and as a recogniser."""

from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr

from kani.engines.plugin import EnginePlugin, RecognizerPlugin, later
from kani.engines.plugin_settings import PluginSettings, listed, setting, web_address

UPSTREAM = "Another server of OpenAI's audio API"
NEEDS = ("KANI_UPSTREAM",)

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "nl", "pl", "ru", "tr", "ar", "hi", "zh", "ja", "ko")
"""Languages of a server that tells none."""


def _address(value: Any) -> Any:
    return None if value is None else web_address(value, path=True)


class OpenAIUpstreamSettings(PluginSettings):
    """A server of OpenAI's audio API; frozen."""

    url: Annotated[str | None, BeforeValidator(_address)] = setting(
        None,
        "KANI_UPSTREAM",
        needs=("KANI_ENGINE=openai", "KANI_RECOGNIZER=openai"),
        group=UPSTREAM,
        after="wyoming_end_of_speech",
        about="Address of another server with OpenAI's audio API, with its version "
        "(`http://localhost:8880/v1`), for KANI_ENGINE=openai and KANI_RECOGNIZER=openai. Texts, or "
        "recordings, are sent there.",
    )
    api_key: SecretStr | None = setting(
        None,
        "KANI_UPSTREAM_KEY",
        option=False,
        about="Key that it asks for. Never printed or logged; sent through https only, but to this machine.",
    )
    voices: Annotated[tuple[str, ...], BeforeValidator(listed)] = setting(
        (),
        "KANI_UPSTREAM_VOICES",
        needs=NEEDS,
        max_length=1000,
        accepts="a list of names, separated by commas",
        about="Its voices, the default one first. Not set: those that it lists, or `alloy`.",
    )
    languages: Annotated[tuple[str, ...], BeforeValidator(listed)] = setting(
        (),
        "KANI_UPSTREAM_LANGUAGES",
        needs=NEEDS,
        max_length=200,
        accepts="a list of codes such as en and es, separated by commas",
        about=f"Languages that it speaks. Not set: those of its voices, or {', '.join(LANGUAGES)}.",
    )
    language_field: str = setting(
        "",
        "KANI_UPSTREAM_LANGUAGE_FIELD",
        needs=NEEDS,
        option=False,
        pattern=r"^[a-z_]{0,50}$",
        accepts="a field's name, such as language or lang_code",
        about="Field that tells it the language; OpenAI's API has none.",
    )
    sample_rate: int = setting(
        24_000,
        "KANI_UPSTREAM_RATE",
        needs=NEEDS,
        option=False,
        unit="hertz",
        ge=8_000,
        le=48_000,
        about="Sample rate of its PCM.",
    )


ENGINE = EnginePlugin(
    "openai", OpenAIUpstreamSettings, later("kani.engines.openai.engine:OpenAIEngine"), own_process=False
)
RECOGNIZER = RecognizerPlugin(
    "openai",
    OpenAIUpstreamSettings,
    later("kani.engines.openai.recognizer:OpenAIRecognizer"),
    own_process=False,
)
