"""OpenAI's audio API, speech of whole texts: the audio, the times of its words, and files."""

from starlette.routing import BaseRoute, Route

from kani.core.service import SpeechService
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.speech import audio_file
from kani.protocols.openai.speech.captions import caption_routes
from kani.protocols.openai.speech.create import create_endpoint


def speech_routes(service: SpeechService, max_text: int) -> list[BaseRoute]:
    return [
        Route("/v1/audio/speech", create_endpoint(service, max_text), methods=["POST"]),
        Route(audio_file.PATH, endpoint(audio_file.AudioFiles().create), methods=["POST"]),
        *caption_routes(service, max_text),
    ]
