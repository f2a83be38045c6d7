"""Lists of models as OpenAI's clients read them; the voices are listed by ``voices_api``."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from kani.core.service import SpeechService
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.voice_names import OPENAI_VOICES
from kani.protocols.shared.errors import RequestError, json_response
from kani.protocols.shared.protocol import PathClass

MODELS_PATH = "/v1/models"
AUDIO_MODELS_PATH = "/v1/audio/models"

_ELEVENLABS_KEY = b"xi-api-key"
"""Header that only a client of ElevenLabs sends: its list of models has the same path."""

SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
COMMITTED_MODELS = ("gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper")
"""Models of transcription sessions without turn detection, unless it is asked for: their clients commit."""
TRANSCRIPTION_MODELS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", *COMMITTED_MODELS)
REALTIME_MODELS = ("gpt-realtime",)
LIVE_MODELS = ("gpt-live-1", "gpt-live-1.1")
"""OpenAI's names, which are listed because some clients refuse what is not. Every other name works too."""

_CREATED = 1_700_000_000
"""Seconds since 1970, a constant: the models are the server's own, whatever they are called."""

_OWNER = "kani-tts-server"


def list_paths() -> dict[str, PathClass]:
    """Return the paths that are served without a key, as Open WebUI asks for them."""
    models = (*SPEECH_MODELS, *TRANSCRIPTION_MODELS, *REALTIME_MODELS, *LIVE_MODELS)
    paths = (MODELS_PATH, AUDIO_MODELS_PATH, *(f"{MODELS_PATH}/{name}" for name in models))
    return dict.fromkeys(paths, PathClass.LIST)


def list_routes(service: SpeechService) -> list[BaseRoute]:

    async def models(request: Request) -> Response:
        return json_response({"object": "list", "data": [_model(name) for name in _names(service)]})

    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        if name not in _names(service):
            message = f"model: there is no {name[:100]!r}; GET {MODELS_PATH} lists the models"
            raise RequestError(404, message, "model", "model_not_found")
        voices = {"voices": _voices(service)} if name in _speech_names(service) else {}
        return json_response(_model(name) | voices)

    async def fetched(request: Request) -> Response:
        # Speaches' clients fetch a model before they use it. Here every name works already.
        return Response(
            f"Model '{request.path_params['model'][:100]}' already exists", 201, media_type="text/plain"
        )

    async def kept(request: Request) -> Response:
        name = request.path_params["model"][:100]
        detail = f"Model '{name}' stays: this server's models are not removed by calls"
        return json_response({"id": name, "object": "model", "deleted": False, "detail": detail})

    async def audio_models(request: Request) -> Response:
        names = _speech_names(service)
        return json_response({"object": "list", "models": [{"id": name, "name": name} for name in names]})

    return [
        OpenAIRoute(MODELS_PATH, endpoint(models), methods=["GET"]),
        Route(f"{MODELS_PATH}/{{model:path}}", endpoint(model), methods=["GET"]),
        Route(f"{MODELS_PATH}/{{model:path}}", endpoint(fetched), methods=["POST"]),
        Route(f"{MODELS_PATH}/{{model:path}}", endpoint(kept), methods=["DELETE"]),
        Route(AUDIO_MODELS_PATH, endpoint(audio_models), methods=["GET"]),
    ]


class OpenAIRoute(Route):
    """A route that leaves clients of ElevenLabs to another on the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return no match for a request with ElevenLabs' header."""
        if any(name == _ELEVENLABS_KEY for name, _ in scope.get("headers", ())):
            return Match.NONE, {}
        return super().matches(scope)


def _names(service: SpeechService) -> list[str]:
    """Return the names of all models: OpenAI's, and those of the engines."""
    names = [*_speech_names(service)]
    if (recognizer := service.recognition.recognizer) is not None:
        conversing = LIVE_MODELS if service.chat_model is not None else ()
        live = (*REALTIME_MODELS, *conversing) if service.recognition.hears_live else ()
        names += [*TRANSCRIPTION_MODELS, *live, recognizer.info.name]
    return [*dict.fromkeys(names)]


def _speech_names(service: SpeechService) -> list[str]:
    return [*SPEECH_MODELS, *(info.name for info in service.engines)]


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": _OWNER, "shutdown_date": None}


def _voices(service: SpeechService) -> list[dict[str, str]]:
    """Return OpenAI's voices and the engines', for clients of Speaches to offer."""
    named = [{"id": name, "name": name, "language": ""} for name in OPENAI_VOICES]
    own = (voice for info in service.engines for voice in info.voices)
    return named + [{"id": voice.id, "name": voice.name, "language": voice.language} for voice in own]
