"""Private speech: a server for many protocols, and this library.

    from kani import Recognizer, Speech

    with Speech() as speech:
        speech.say("Hola, ¿qué tal?").save("hola.wav")

Nothing is loaded before a name is used: ``import kani`` takes milliseconds. Every Python from 3.8 on can
import this module, so that the programs can say which one they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import kani.no_telemetry  # noqa: F401 - before any library that reports

if TYPE_CHECKING:
    __version__: str
    from kani.core.errors import EngineFailed as EngineFailed
    from kani.core.errors import EngineUnavailable as EngineUnavailable
    from kani.core.errors import InvalidRequest as InvalidRequest
    from kani.core.errors import SpeechError as SpeechError
    from kani.core.errors import TimedOut as TimedOut
    from kani.core.errors import UnknownVoice as UnknownVoice
    from kani.core.errors import UnsupportedLanguage as UnsupportedLanguage
    from kani.core.recognizer import RecognizedWord as RecognizedWord
    from kani.core.types import Span as Span
    from kani.core.types import SpeechChunk as SpeechChunk
    from kani.core.types import Voice as Voice
    from kani.library.asynchronous import AsyncRecognizer as AsyncRecognizer
    from kani.library.asynchronous import AsyncSpeech as AsyncSpeech
    from kani.library.blocking import Conversation as Conversation
    from kani.library.blocking import Recognizer as Recognizer
    from kani.library.blocking import Speech as Speech
    from kani.library.conversation import AsyncConversation as AsyncConversation
    from kani.library.results import Aligned as Aligned
    from kani.library.results import AlignedWord as AlignedWord
    from kani.library.results import Answered as Answered
    from kani.library.results import Audio as Audio
    from kani.library.results import Heard as Heard
    from kani.library.results import Interrupted as Interrupted
    from kani.library.results import NoAnswer as NoAnswer
    from kani.library.results import Transcript as Transcript
    from kani.library.results import Turn as Turn
    from kani.library.results import Word as Word

_HOMES = {
    "kani.core.errors": (
        *("EngineFailed", "EngineUnavailable", "InvalidRequest", "SpeechError", "TimedOut"),
        *("UnknownVoice", "UnsupportedLanguage"),
    ),
    "kani.core.recognizer": ("RecognizedWord",),
    "kani.core.types": ("Span", "SpeechChunk", "Voice"),
    "kani.library.asynchronous": ("AsyncRecognizer", "AsyncSpeech"),
    "kani.library.blocking": ("Conversation", "Recognizer", "Speech"),
    "kani.library.conversation": ("AsyncConversation",),
    "kani.library.results": (
        *("Aligned", "AlignedWord", "Answered", "Audio", "Heard", "Interrupted"),
        *("NoAnswer", "Transcript", "Turn", "Word"),
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("websocket_config").VERSION
    if name not in _HOME_OF:
        raise AttributeError("module 'kani' has no attribute {!r}".format(name))  # noqa: UP032
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF, "__version__"])
