"""Runs calls of litellm, openai-agents and LangChain, and prints a list of their results as JSON.

``python client.py '[[CALL, OPTIONS], …]'``, in an environment that has them (requirements.txt).
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

# Each would ask other machines as soon as it is imported or used.
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
BASE_URL = os.environ["BASE_URL"]
RATE = 24_000


def litellm_transcribe(input: str, **options: Any) -> dict[str, Any]:
    import litellm

    with Path(input).open("rb") as file:
        answer = litellm.transcription(file=file, api_base=BASE_URL, api_key="any", max_retries=0, **options)
    return answer.model_dump()


def litellm_speak(output: str, **options: Any) -> dict[str, Any]:
    import litellm

    answer = litellm.speech(api_base=BASE_URL, api_key="any", max_retries=0, **options)
    Path(output).write_bytes(answer.content)
    return {"type": answer.response.headers["content-type"]}


def litellm_chat() -> dict[str, Any]:
    """The error of what this server has not."""
    import litellm

    try:
        message = {"role": "user", "content": "Hi."}
        litellm.completion("openai/gpt-5", [message], api_base=BASE_URL, api_key="any", max_retries=0)
    except litellm.NotFoundError as error:
        return {"message": str(error)}
    raise AssertionError("a language model answered")


def langchain_parse(input: str) -> dict[str, Any]:
    from langchain_community.document_loaders.parsers.audio import OpenAIWhisperParser
    from langchain_core.documents.base import Blob

    parser = OpenAIWhisperParser(api_key="any", base_url=BASE_URL, language="en")
    return {"texts": [document.page_content for document in parser.lazy_parse(Blob.from_path(input))]}


def agents_voice(input: str, streamed: bool) -> dict[str, Any]:
    """The user's turns as the workflow gets them, and seconds of the speech that answers.

    streamed: whether the audio comes in pieces, which end with the last word, or as a whole.
    """
    return asyncio.run(_voice(np.frombuffer(Path(input).read_bytes(), np.int16), streamed))


async def _voice(samples: np.ndarray, streamed: bool) -> dict[str, Any]:
    from agents import voice
    from openai import AsyncOpenAI

    heard: list[str] = []

    class Repeat(voice.VoiceWorkflowBase):
        async def run(self, transcription: str) -> AsyncIterator[str]:
            heard.append(transcription)
            yield f"You said: {transcription}"

    client = AsyncOpenAI(base_url=BASE_URL, api_key="any", max_retries=0)
    provider = voice.OpenAIVoiceModelProvider(openai_client=client)
    pipeline = voice.VoicePipeline(workflow=Repeat(), config={"model_provider": provider})
    audio = voice.StreamedAudioInput() if streamed else voice.AudioInput(buffer=samples)
    result = await pipeline.run(audio)
    if streamed:
        for at in range(0, len(samples), RATE // 20):
            await audio.add_audio(samples[at : at + RATE // 20])
        await audio.add_audio(None)
    spoken = 0
    async for event in result.stream():
        if event.type == "voice_stream_event_audio" and event.data is not None:
            spoken += len(event.data)
        elif event.type == "voice_stream_event_error":
            raise event.error
    return {"heard": heard, "spoken_s": spoken / RATE}


def agents_converse(input: str) -> dict[str, Any]:
    """What happens in a conversation: a turn, a tool, an answer that a second turn interrupts, an answer."""
    return asyncio.run(_converse(Path(input).read_bytes()))


async def _converse(turn: bytes) -> dict[str, Any]:
    from agents import function_tool
    from agents.realtime import RealtimeAgent, RealtimeRunner

    @function_tool
    async def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    async def interrupt() -> None:
        await asyncio.sleep(1.0)  # of the answer have been played
        await session.send_audio(turn)

    agent = RealtimeAgent(name="Agent", instructions="Be brief.", tools=[weather])
    url = f"{BASE_URL.replace('http', 'ws')}/realtime?model=any"
    session = await RealtimeRunner(agent).run(model_config={"url": url, "api_key": "any"})
    seen: list[str] = []
    errors: list[str] = []
    interruption = None
    async with session:
        await session.send_audio(turn)
        async for event in session:
            if event.type == "audio" and interruption is None:
                interruption = asyncio.create_task(interrupt())
            if event.type in ("tool_end", "audio_interrupted", "audio_end"):
                seen.append(event.type)
            if event.type == "error":
                errors.append(str(event.error))
            if errors or (event.type == "audio_end" and "audio_interrupted" in seen):
                break
    return {"seen": seen, "errors": errors}


FUNCTIONS = (agents_converse, litellm_transcribe, litellm_speak, litellm_chat, langchain_parse, agents_voice)
CALLS = {function.__name__: function for function in FUNCTIONS}

if __name__ == "__main__":
    results = [CALLS[name](**options) for name, options in json.loads(sys.argv[1])]
    # The libraries print as well.
    print("\n" + json.dumps(results, default=str))
