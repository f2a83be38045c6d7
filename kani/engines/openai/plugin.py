"""Descriptions of a server of OpenAI's audio API, as an engine and as a recogniser."""

from kani.engines.openai.settings import OpenAIUpstreamSettings
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, later

ENGINE = EnginePlugin(
    "openai", OpenAIUpstreamSettings, later("kani.engines.openai.engine:OpenAIEngine"), own_process=False
)
RECOGNIZER = RecognizerPlugin(
    "openai",
    OpenAIUpstreamSettings,
    later("kani.engines.openai.recognizer:OpenAIRecognizer"),
    own_process=False,
)
