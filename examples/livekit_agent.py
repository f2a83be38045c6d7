"""An agent for LiveKit's rooms with this server's speech: no audio leaves your machines.

    pip install livekit-agents livekit-plugins-elevenlabs msgspec
    python start_websocket_server.py                      # in one terminal
    LIVEKIT_URL=ws://localhost:7880 LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=secret \\
        python examples/livekit_agent.py dev              # in another: it joins each room there is

It speaks by LiveKit's own plugin for ElevenLabs with this server's address, and its transcript follows the
audio word by word. It recognizes speech by livekit_stt.py. Its answers come from a language model at an
OpenAI-compatible address; without one it repeats the user's words. Settings, by environment variables:

    SPEECH_SERVER    ws://localhost:8001   this server
    SPEECH_KEY       public_token          its API key
    SPEECH_VOICE     ef_dora
    SPEECH_LANGUAGE  es                    empty: detected
    LLM_URL          (nothing)             such as http://localhost:11434/v1
    LLM_MODEL        (nothing)             such as llama3.2
    LLM_KEY          none
    AGENT_GREETING   Hola, te escucho.
    AGENT_TASK       Eres un asistente de voz. Responde con una o dos frases cortas.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

try:
    import openai
    from livekit.agents import (
        Agent,
        AgentServer,
        AgentSession,
        APIConnectionError,
        APIConnectOptions,
        APIStatusError,
        JobContext,
        cli,
        llm,
    )
    from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
    from livekit.agents.utils import shortuuid
    from livekit.plugins import elevenlabs
    from livekit_stt import KyutaiSTT  # type: ignore[import-not-found]  # in the same folder
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"{__doc__}\n{missing}: pip install livekit-agents livekit-plugins-elevenlabs msgspec"
    ) from missing

Answering = Callable[[llm.ChatContext], AsyncIterator[str]]
"""A function that answers a conversation, chunk by chunk."""


@dataclass(frozen=True)
class Choices:
    """Settings, named like their environment variables."""

    speech_server: str = "ws://localhost:8001"
    speech_key: str = "public_token"
    speech_voice: str = "ef_dora"
    speech_language: str = "es"
    llm_url: str = ""
    llm_model: str = ""
    llm_key: str = "none"
    agent_greeting: str = "Hola, te escucho."
    agent_task: str = "Eres un asistente de voz. Responde con una o dos frases cortas."

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Choices:
        """Read the settings of an environment."""
        names = cls.__dataclass_fields__
        return cls(**{name: environment[name.upper()] for name in names if name.upper() in environment})


class AnsweringLLM(llm.LLM[str]):
    """A function that answers, as a language model of LiveKit's framework."""

    def __init__(self, answering: Answering) -> None:
        super().__init__()
        self.answering = answering

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Answer a conversation; tools are not passed to the model."""
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, AnsweringLLM)
        answer = shortuuid("answer_")
        async for text in self._llm.answering(self._chat_ctx):
            delta = llm.ChoiceDelta(role="assistant", content=text)
            self._event_ch.send_nowait(llm.ChatChunk(id=answer, delta=delta))


async def echo(chat: llm.ChatContext) -> AsyncIterator[str]:
    """Repeat the user's last message."""
    texts = [message.text_content for message in chat.messages() if message.role == "user"]
    yield texts[-1] or ""


def model(url: str, name: str, key: str) -> Answering:
    """Return a function that answers by a model at an OpenAI-compatible address."""

    async def answer(chat: llm.ChatContext) -> AsyncIterator[str]:
        messages, _ = chat.to_provider_format("openai")
        try:
            async with (
                openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client,
                await client.chat.completions.create(
                    model=name, messages=cast(Any, messages), stream=True
                ) as stream,
            ):
                async for chunk in stream:
                    if chunk.choices and (text := chunk.choices[0].delta.content):
                        yield text
        except openai.APIStatusError as error:
            raise APIStatusError(error.message, status_code=error.status_code) from error
        except openai.APIError as error:
            raise APIConnectionError(f"{url}: {error.message}") from error

    return answer


def session(choices: Choices) -> AgentSession[None]:
    """Build a conversation, not started: recognition, language model and speech synthesis."""
    answering = model(choices.llm_url, choices.llm_model, choices.llm_key) if choices.llm_url else echo
    voice = elevenlabs.TTS(
        base_url=choices.speech_server.replace("ws", "http", 1) + "/v1",
        api_key=choices.speech_key,
        voice_id=choices.speech_voice,
        encoding="pcm_24000",
        # The written form of the text, not the spoken one.
        preferred_alignment="original",
    )
    return AgentSession(
        stt=KyutaiSTT(
            choices.speech_server, key=choices.speech_key, language=choices.speech_language or None
        ),
        llm=AnsweringLLM(answering),
        tts=voice,
        # The server detects speech and the ends of turns: no other detector has to add a delay.
        vad=None,
        turn_handling={
            "turn_detection": "stt",
            "endpointing": {"min_delay": 0.0},
            "interruption": {"mode": "vad"},
        },
        use_tts_aligned_transcript=True,
    )


# Any port for the agent's own health checks: the default 8081 is the relay's.
server = AgentServer(port=0)


@server.rtc_session()
async def converse(job: JobContext) -> None:
    """Converse with the participants of a room."""
    choices = Choices.of(os.environ)
    conversation = session(choices)
    await conversation.start(Agent(instructions=choices.agent_task), room=job.room)
    await conversation.say(choices.agent_greeting)


if __name__ == "__main__":
    cli.run_app(server)
