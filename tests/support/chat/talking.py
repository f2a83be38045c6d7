"""A server with a scripted language model, and a Realtime client that talks to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import Recognizer
from tests.clients.openai_realtime import Client, Event, loud, quiet, text_item, types
from tests.support.chat.endpoint import Answer, ChatEndpoint, Script, chat_endpoint
from tests.support.loudness import PausingRecognizer
from tests.support.servers.serving import InProcessServer, serving

TURN = quiet(0.4), loud(0.4), quiet(0.8)
HEARD = "w0 w1 w2 w3 w4."
SYSTEM = ("system", "Be brief.")
TURN_EVENTS = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
ANSWER_EVENTS = """response.created response.output_item.added conversation.item.added
    response.content_part.added response.output_audio.done response.output_audio_transcript.done
    response.content_part.done conversation.item.done response.output_item.done response.done""".split()
"""Events of a turn and of an answer in the conversation, without the pieces of text and speech."""

DELTAS = ("response.output_audio.delta", "response.output_audio_transcript.delta")


class Talk(NamedTuple):
    client: Client
    server: InProcessServer
    endpoint: ChatEndpoint


StartTalk = Callable[..., Awaitable[Talk]]
"""Start a server whose model gives these answers, the last one again and again, and connect to it."""


def script(answers: Sequence[Answer | Script]) -> Script:
    left = [*answers]

    def answer(body: dict[str, Any]) -> Answer:
        now = left.pop(0) if len(left) > 1 else left[0]
        return now if isinstance(now, Answer) else now(body)

    return answer


@asynccontextmanager
async def answering(
    folder: Path,
    *answers: Answer | Script,
    recognizer: Recognizer | None = None,
    diarizer: Diarizer | None = None,
    **environment: str,
) -> AsyncIterator[tuple[InProcessServer, ChatEndpoint]]:
    async with chat_endpoint(script(answers)) as endpoint:
        # With early answers the number of requests depends on the machine's load.
        fixed = {"KANI_LLM_EARLY": "false", "KANI_LLM_INSTRUCTIONS": SYSTEM[1], "KANI_LLM_URL": endpoint.url}
        environment, ears = fixed | environment, recognizer or PausingRecognizer()
        async with serving(folder, ears, diarizer=diarizer, **environment) as server:
            yield server, endpoint


async def write(client: Client, text: str, **response: Any) -> None:
    await client.send("conversation.item.create", item=text_item(text))
    await client.send("response.create", response=response)


async def done(client: Client) -> Event:
    response: Event = (await client.until("response.done"))[-1]["response"]
    return response


async def ask(client: Client, text: str, **response: Any) -> Event:
    await write(client, text, **response)
    return await done(client)


def transcript_of(events: Sequence[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == DELTAS[1])


def names_of(events: Sequence[Event]) -> list[str]:
    """Types of events, without the pieces of speech."""
    return [name for name in types(events) if name not in DELTAS]
