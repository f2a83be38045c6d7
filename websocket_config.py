"""Constants of the Kani JSON protocol, shared by the server and the client.

The names and values in the first part are those of the original project; its clients import them from here.
This file is copied along with the client, so it needs nothing but the standard library.
"""

from __future__ import annotations

from typing import Any, Final

# Address of the server, and interval and timeout of the pings of either side (seconds).
WEBSOCKET_HOST: Final = "localhost"
WEBSOCKET_PORT: Final = 8001
WEBSOCKET_PING_INTERVAL: Final = 20
WEBSOCKET_PING_TIMEOUT: Final = 10

# The original table, which clients compare as a whole: `tts_cancel` is not in it.
MESSAGE_TYPES: Final[dict[str, str]] = {
    "TTS_REQUEST": "tts_request",
    "TTS_STREAM_REQUEST": "tts_stream_request",
    "TTS_RESPONSE": "tts_response",
    "TTS_STREAM_CHUNK": "tts_stream_chunk",
    "TTS_STREAM_COMPLETE": "tts_stream_complete",
    "PING": "ping",
    "PONG": "pong",
}

# Fields that the client sends without a `config`. Their absence means the same to the server, except for the
# language: a request without one has the language of its text, else of its voice, of the connection's last
# text, or Spanish.
DEFAULT_CONFIG: Final[dict[str, Any]] = {
    "temperature": 0.6,
    "max_tokens": 1200,
    "top_p": 0.95,
    "chunk_size": 25,
    "lookback_frames": 15,
    "language": "spanish",
    "emotion": "neutral",
    "speed": 1.0,
    "voice_id": "default",
}

SUPPORTED_LANGUAGES: Final[list[str]] = ["spanish", "english", "french", "german", "italian", "portuguese"]

SUPPORTED_EMOTIONS: Final[list[str]] = [
    "neutral",
    "happy",
    "sad",
    "angry",
    "excited",
    "calm",
    "friendly",
    "professional",
]

AUDIO_FORMAT: Final[dict[str, Any]] = {
    "sample_rate": 22050,
    "channels": 1,
    "bit_depth": 16,
    "format": "wav",
}

# chunk_timeout in seconds, max_chunk_size in bytes.
STREAMING_CONFIG: Final[dict[str, Any]] = {
    "chunk_timeout": 30,
    "max_chunk_size": 1024 * 1024,
    "compression": False,
}

ERROR_MESSAGES: Final[dict[str, str]] = {
    "INVALID_JSON": "Invalid JSON format",
    "MISSING_TEXT": "No text provided",
    "UNKNOWN_MESSAGE_TYPE": "Unknown message type",
    "GENERATION_ERROR": "Audio generation failed",
    "STREAMING_ERROR": "Audio streaming failed",
    "TIMEOUT_ERROR": "Request timeout",
    "MODEL_NOT_INITIALIZED": "TTS models not initialized",
}

# Server defaults; kani/composition/settings/table.py holds their meaning and range.

VERSION: Final = "0.1.0"
APP_NAME: Final = "kani-tts"
METRICS_PORT: Final = 9090
PUBLIC_TOKEN: Final = "public_token"  # noqa: S105 - Kyutai's clients all send it: it is no secret
DEFAULT_ENGINE: Final = "auto"
DEFAULT_DEVICE: Final = "auto"
DEFAULT_PRECISION: Final = "auto"
DEFAULT_RECOGNIZER: Final = "auto"
MAX_CONNECTIONS: Final = 4096
MAX_WAITING: Final = 1000
RATE_PER_MINUTE: Final = 0
REQUEST_TIMEOUT: Final = 600.0
SHUTDOWN_SECONDS: Final = 8.0
LOG_LEVEL: Final = "INFO"
LOG_FORMAT: Final = "text"
LOG_FILE: Final = "websocket_server.log"
