"""Descriptions of a server of OpenAI's audio API, as an engine and as a recogniser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.openai.settings import OpenAIUpstreamSettings
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources

if TYPE_CHECKING:
    from kani.engines.openai.engine import OpenAIEngine
    from kani.engines.openai.recognizer import OpenAIRecognizer

SERVICE = "the upstream server"


def _engine(settings: OpenAIUpstreamSettings, resources: Resources) -> OpenAIEngine:
    from kani.engines.openai.engine import OpenAIEngine
    from kani.engines.upstream.fallback import fallback_engine
    from kani.engines.upstream.metrics import UpstreamMetrics

    assert resources.host is not None  # it is always built in the server's process
    metrics = UpstreamMetrics(resources.host.metrics, "upstream", SERVICE)
    return OpenAIEngine(settings, resources, metrics, fallback_engine(resources))


def _recognizer(settings: OpenAIUpstreamSettings, resources: Resources) -> OpenAIRecognizer:
    from kani.engines.openai.recognizer import OpenAIRecognizer

    return OpenAIRecognizer(settings, resources)


ENGINE = EnginePlugin("openai", OpenAIUpstreamSettings, _engine, own_process=False)
RECOGNIZER = RecognizerPlugin("openai", OpenAIUpstreamSettings, _recognizer, own_process=False)
