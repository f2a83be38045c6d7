"""An agent for LiveKit's rooms whose turns and interruptions this server finds, by sound and words.

    pip install livekit-agents livekit-plugins-openai livekit-plugins-elevenlabs
    python start_websocket_server.py --llm http://localhost:11434/v1 --llm-model llama3.2
    LIVEKIT_URL=ws://localhost:7880 LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=secret \\
        SETUP=cascade python examples/livekit_turns.py dev

A listener's "mhm", a cough or a keyboard goes unnoticed while the agent speaks, "stop" interrupts it, and a
turn ends once it sounds complete. That needs no detector of LiveKit's cloud, and no fixed delay. ``SETUP``:

    realtime      the server hears, asks the language model and speaks
    half-cascade  the server hears and asks the language model; LiveKit's plugin for ElevenLabs speaks
    cascade       the server hears; LiveKit asks the model at LLM_URL, and its plugin for ElevenLabs speaks

Where the server does not speak the answers, ``follow`` tells it while one sounds. Further settings, by
environment variables:

    SPEECH_SERVER    http://localhost:8001       this server
    SPEECH_KEY       any                         its API key
    SPEECH_VOICE     af_heart
    LLM_URL          http://localhost:11434/v1   for cascade
    LLM_MODEL        llama3.2                    for cascade
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

try:
    from livekit.agents import (
        Agent,
        AgentServer,
        AgentSession,
        AgentStateChangedEvent,
        JobContext,
        UserStateChangedEvent,
        cli,
    )
    from livekit.plugins import elevenlabs, openai
    from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"{__doc__}\n{missing}: pip install livekit-agents livekit-plugins-openai livekit-plugins-elevenlabs"
    ) from missing

TASK = "You are a voice assistant. Answer in one or two short sentences."


def follow(session: AgentSession[None], ears: openai.STT | openai.realtime.RealtimeModel) -> None:
    """Have the server judge each voice over an answer of the session that it does not speak itself.

    ears: the session's recognizer, or its half-cascade model, at this server.
    """

    @session.on("agent_state_changed")
    def tell(event: AgentStateChangedEvent) -> None:
        # A field of this server, unknown to the plugins' types.
        judged: Any = {"type": "semantic_vad", "over_answer": event.new_state == "speaking"}
        if isinstance(ears, openai.STT):
            ears.update_options(turn_detection=judged)
        else:
            ears.update_options(turn_detection=SemanticVad(**judged))

    @session.on("user_state_changed")
    def stop(event: UserStateChangedEvent) -> None:
        # LiveKit waits for the first word; the server knows before it that the voice goes on.
        speech = session.current_speech
        if event.new_state == "speaking" and speech is not None and speech.allow_interruptions:
            speech.interrupt()


def build_session(settings: Mapping[str, str]) -> AgentSession[None]:
    """Return a conversation, not started, by the settings of an environment."""
    server = settings.get("SPEECH_SERVER", "http://localhost:8001") + "/v1"
    key = settings.get("SPEECH_KEY", "any")
    voice = settings.get("SPEECH_VOICE", "af_heart")
    setup = settings.get("SETUP", "realtime")
    if setup == "realtime":
        # The server knows what it has spoken: nothing has to be told.
        model = openai.realtime.RealtimeModel(base_url=server, api_key=key, voice=voice)
        return AgentSession(llm=model, vad=None, turn_handling={"turn_detection": "realtime_llm"})
    speaker = elevenlabs.TTS(base_url=server, api_key=key, voice_id=voice, encoding="pcm_24000")
    if setup == "half-cascade":
        model = openai.realtime.RealtimeModel(
            base_url=server,
            api_key=key,
            modalities=["text"],
            turn_detection=SemanticVad(type="semantic_vad"),
        )
        session = AgentSession[None](
            llm=model, tts=speaker, vad=None, turn_handling={"turn_detection": "realtime_llm"}
        )
        follow(session, model)
        return session
    ears = openai.STT(
        base_url=server,
        api_key=key,
        use_realtime=True,
        detect_language=True,
        turn_detection={"type": "semantic_vad"},
    )
    llm = openai.LLM(
        base_url=settings.get("LLM_URL", "http://localhost:11434/v1"),
        model=settings.get("LLM_MODEL", "llama3.2"),
        api_key=settings.get("LLM_KEY", "none"),
    )
    session = AgentSession[None](
        stt=ears,
        llm=llm,
        tts=speaker,
        vad=None,
        turn_handling={
            "turn_detection": "stt",
            "endpointing": {"min_delay": 0.0},
            "interruption": {"mode": "vad"},
        },
    )
    follow(session, ears)
    return session


# Any port for the agent's own health checks: the default 8081 is the relay's.
server = AgentServer(port=0)


@server.rtc_session()
async def converse(job: JobContext) -> None:
    """Converse with the participants of a room."""
    session = build_session(os.environ)
    await session.start(Agent(instructions=TASK), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
