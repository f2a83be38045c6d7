"""Configuration of a conversation, as far as every dialect has one."""

from dataclasses import dataclass

from kani.core.audio.encoding import AudioFormat
from kani.core.chat_model import Tool
from kani.core.conversation.turns import TurnRule
from kani.core.transcriber import TranscriptionOptions


@dataclass(frozen=True, slots=True)
class ConversationConfig:
    """A conversation that answers each turn; a dialect that lets its clients choose has other properties."""

    input_format: AudioFormat
    output_format: AudioFormat
    answers: bool = True  # whether a language model answers; the fields below are of use to it only
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_output_tokens: int | None = None
    written: bool = False  # answers in writing, without audio
    parallel_tool_calls: bool | None = None  # these two are None where the client does not say
    reasoning_effort: str | None = None
    log_probabilities: bool = False  # whether transcripts have those of their words

    @property
    def rule(self) -> TurnRule | None:
        """How turns begin and end; None where the client commits them."""
        return TurnRule()

    @property
    def judges_turns(self) -> bool:
        """True if turns end by what is said, not only by silence."""
        return True

    @property
    def over_answer(self) -> bool:
        """True while the client itself speaks an answer, over which voices are judged."""
        return False

    @property
    def interrupts(self) -> bool:
        """True if the start of a turn ends the answer before it."""
        return True

    @property
    def idle_ms(self) -> float | None:
        """Milliseconds of silence after an answer from which on the next one comes; None: none comes."""
        return None

    @property
    def asks_for_answers(self) -> bool:
        """True if each turn is to be answered as it ends."""
        return True

    @property
    def answers_turns(self) -> bool:
        """True if each turn is answered as it ends."""
        return self.answers and self.asks_for_answers

    @property
    def tells_words(self) -> bool:
        """True if the client is told what is said."""
        return True

    @property
    def wants_words(self) -> bool:
        """True if someone asks for what is said: the client, or a language model."""
        return self.tells_words or self.answers

    @property
    def hears(self) -> TranscriptionOptions:
        """The language of the input, or those that it may be in, and the text that may precede the speech."""
        return TranscriptionOptions()
