"""Configuration of a Realtime session, written as a session object of either generation."""

from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import override

from kani.core.audio.encoding import AudioFormat
from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.turns import PATIENCE, Patience, TurnRule
from kani.core.expected_words import as_prompt
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.openai.lists import COMMITTED_MODELS
from kani.protocols.openai.realtime.answers.tools import McpServer, choice_json, tools_json

SessionKind = Literal["realtime", "transcription"]
Eagerness = Literal["low", "medium", "high", "auto"]

PCM = AudioFormat("pcm", 24_000, name="audio/pcm")
FORMATS = {
    "audio/pcm": PCM,
    "audio/pcmu": AudioFormat("ulaw", 8000, name="audio/pcmu"),
    "audio/pcma": AudioFormat("alaw", 8000, name="audio/pcma"),
}
BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_BETA_NAMES = {name: beta for beta, name in BETA_FORMATS.items()}

DEFAULT_MODEL = "gpt-realtime"
DEFAULT_VOICE = "alloy"
DEFAULT_TRANSCRIPTION_MODEL = "whisper-1"


_PATIENCE: dict[Eagerness, Patience] = {
    "low": Patience(1.2, 3.0, 1.2, 8.0),
    "medium": PATIENCE,
    "auto": PATIENCE,
    "high": Patience(0.2, 1.0, 0.4, 2.0),
}


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Turn detection: the way that the server finds the turns of the input audio."""

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5  # probability of a voice from which on it is speech
    prefix_padding_ms: float = 300
    silence_duration_ms: float = 500
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: float | None = None  # silence after an answer from which on the next one comes
    over_answer: bool = False  # whether an answer sounds that the client itself speaks

    @property
    def rule(self) -> TurnRule:
        if self.kind == "semantic_vad":
            patience = _PATIENCE[self.eagerness]
        else:
            silence_s = self.silence_duration_ms / 1000
            patience = Patience(silence_s, silence_s, silence_s, silence_s)
        return TurnRule(patience, self.threshold, self.prefix_padding_ms / 1000)

    def as_json(self) -> dict[str, Any]:
        responses = {"create_response": self.create_response, "interrupt_response": self.interrupt_response}
        if self.kind == "semantic_vad":
            own = {"over_answer": True} if self.over_answer else {}
            return {"type": self.kind, "eagerness": self.eagerness, **responses, **own}
        return {
            "type": self.kind,
            "threshold": self.threshold,
            "prefix_padding_ms": round(self.prefix_padding_ms),
            "silence_duration_ms": round(self.silence_duration_ms),
            "idle_timeout_ms": None if self.idle_timeout_ms is None else round(self.idle_timeout_ms),
            **responses,
        }


LOG_PROBABILITIES = "item.input_audio_transcription.logprobs"
"""The one name that a session's ``include`` may have."""

NOT_ASKED = TurnDetection()
"""The turn detection of a session until its client names one; known by its identity."""


@dataclass(frozen=True, slots=True)
class Transcription:
    """Recognition of the input audio."""

    model: str = DEFAULT_TRANSCRIPTION_MODEL  # any name: there is one recogniser
    language: str | None = None  # as of ``spoken_language``; None is detected from the speech
    prompt: str = ""  # text that may precede the speech, for its names
    keywords: tuple[str, ...] = ()  # words to expect
    languages: tuple[str, ...] = ()  # as ``language``, of several that may be spoken: one is detected

    @property
    def expected(self) -> str:
        """Keywords and prompt, as the recogniser takes them."""
        return as_prompt(self.keywords, self.prompt)

    def as_json(self) -> dict[str, Any]:
        lists = {"keywords": [*self.keywords], "languages": [*self.languages]}
        given = {name: values for name, values in lists.items() if values}
        return {"model": self.model, "language": self.language, "prompt": self.prompt, **given}


@dataclass(frozen=True, slots=True)
class SessionConfig(ConversationConfig):
    """The whole configuration that is in force."""

    input_format: AudioFormat = PCM
    output_format: AudioFormat = PCM
    answers: bool = False
    kind: SessionKind = "realtime"
    model: str = DEFAULT_MODEL  # as the client named it
    transcription: Transcription | None = None
    turns: TurnDetection | None = NOT_ASKED  # as the client has set it; ``turn_detection`` is in force
    voice: str = DEFAULT_VOICE
    speed: float = 1.0
    servers: tuple[McpServer, ...] = ()  # MCP servers with further tools
    known_servers: tuple[str, ...] = ()  # addresses that these may have

    @property
    def turn_detection(self) -> TurnDetection | None:
        """The turn detection; None without one, as with models that have it only where it is asked for."""
        model = self.transcription.model if self.transcription is not None else ""
        committed = self.kind == "transcription" and model in COMMITTED_MODELS
        return None if committed and self.turns is NOT_ASKED else self.turns

    @property
    @override
    def rule(self) -> TurnRule | None:
        return None if self.turn_detection is None else self.turn_detection.rule

    @property
    @override
    def judges_turns(self) -> bool:
        return self.turn_detection is not None and self.turn_detection.kind == "semantic_vad"

    @property
    @override
    def over_answer(self) -> bool:
        return self.judges_turns and self.turn_detection is not None and self.turn_detection.over_answer

    @property
    @override
    def interrupts(self) -> bool:
        detection = self.turn_detection
        return self.kind == "realtime" and detection is not None and detection.interrupt_response

    @property
    @override
    def idle_ms(self) -> float | None:
        return None if self.turn_detection is None else self.turn_detection.idle_timeout_ms

    @property
    @override
    def asks_for_answers(self) -> bool:
        detection = self.turn_detection
        return self.kind == "realtime" and detection is not None and detection.create_response

    @property
    @override
    def tells_words(self) -> bool:
        return self.transcription is not None

    @property
    @override
    def hears(self) -> TranscriptionOptions:
        given = self.transcription or Transcription()
        return TranscriptionOptions(given.language, frozenset(given.languages), prompt=given.expected)

    @property
    def _include(self) -> list[str] | None:
        return [LOG_PROBABILITIES] if self.log_probabilities else None

    def as_json(self, session_id: str, expires_at: int) -> dict[str, Any]:
        audio_input = {
            "format": _format_json(self.input_format),
            "transcription": self.transcription and self.transcription.as_json(),
            "noise_reduction": None,
            "turn_detection": self.turn_detection and self.turn_detection.as_json(),
        }
        if self.kind == "transcription":
            return {
                "type": self.kind,
                "object": "realtime.transcription_session",
                "id": session_id,
                "expires_at": expires_at,
                "audio": {"input": audio_input},
                "include": self._include,
            }
        output = {"format": _format_json(self.output_format), "voice": self.voice, "speed": self.speed}
        return {
            "type": self.kind,
            "object": "realtime.session",
            "id": session_id,
            "model": self.model,
            "expires_at": expires_at,
            "output_modalities": ["text"] if self.written else ["audio"],
            "instructions": self.instructions,
            "tools": tools_json(self.tools) + [server.as_json() for server in self.servers],
            "tool_choice": choice_json(self.tool_choice) if self.answers else "none",
            "max_output_tokens": self.max_output_tokens or "inf",
            "parallel_tool_calls": self.parallel_tool_calls,
            "reasoning": self.reasoning_effort and {"effort": self.reasoning_effort},
            "tracing": None,
            "prompt": None,
            "audio": {"input": audio_input, "output": output},
            "include": self._include,
        }

    def as_beta_json(self, session_id: str, expires_at: int) -> dict[str, Any]:
        common = {
            "id": session_id,
            "expires_at": expires_at,
            "input_audio_format": _BETA_NAMES[self.input_format.name],
            "input_audio_transcription": self.transcription and self.transcription.as_json(),
            "input_audio_noise_reduction": None,
            "turn_detection": self.turn_detection and self.turn_detection.as_json(),
        }
        if self.kind == "transcription":
            return {"object": "realtime.transcription_session", **common, "include": self._include}
        return {
            "object": "realtime.session",
            "model": self.model,
            "modalities": ["text"] if self.written else ["text", "audio"],
            "instructions": self.instructions,
            "voice": self.voice,
            "speed": self.speed,
            "tools": tools_json(self.tools),
            "output_audio_format": _BETA_NAMES[self.output_format.name],
            "tool_choice": choice_json(self.tool_choice) if self.answers else "none",
            "temperature": 0.8,
            "max_response_output_tokens": self.max_output_tokens or "inf",
            **common,
        }


def initial_config(kind: SessionKind, model: str | None, instructions: str | None = None) -> SessionConfig:
    """Return the configuration of a new session.

    model: of the address, if it names one; instructions: of the language model until the client gives its
    own, None where there is no such model.
    """
    if kind == "realtime":
        answers = instructions is not None
        return SessionConfig(model=model or DEFAULT_MODEL, answers=answers, instructions=instructions or "")
    transcription = Transcription(model or DEFAULT_TRANSCRIPTION_MODEL)
    return SessionConfig(kind="transcription", transcription=transcription)


def _format_json(audio_format: AudioFormat) -> dict[str, Any]:
    rate = {"rate": audio_format.sample_rate} if audio_format.codec == "pcm" else {}
    return {"type": audio_format.name, **rate}
