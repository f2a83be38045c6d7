"""Every WebSocket of the server: its messages with bad values, and when a client has its answer."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kani.protocols.elevenlabs import voice_settings
from kani.protocols.elevenlabs.agents import config as agent_config
from kani.protocols.elevenlabs.agents import messages as agent_messages
from kani.protocols.elevenlabs.realtime import messages as elevenlabs_listening
from kani.protocols.elevenlabs.realtime.config import SessionConfig
from kani.protocols.elevenlabs.realtime.connection import PATH as LISTENING
from kani.protocols.elevenlabs.relay import messages as relay_messages
from kani.protocols.elevenlabs.single_use_tokens import AGENT_PATH
from kani.protocols.elevenlabs.websocket import messages as elevenlabs_messages
from kani.protocols.elevenlabs.websocket import query as elevenlabs_query
from kani.protocols.kani import messages as kani_messages
from kani.protocols.kyutai import messages as kyutai_messages
from kani.protocols.kyutai import query as kyutai_query
from kani.protocols.openai import live, realtime
from kani.protocols.openai.live import session as live_session
from kani.protocols.openai.realtime import client_events, connection, conversation, session_update
from kani.protocols.openai.realtime.answers import responses as response_fields
from kani.protocols.openai.realtime.answers import tools
from kani.protocols.openai.realtime.unmute.connection import Session
from kani.protocols.voxcpm import messages as voxcpm_messages
from kani.protocols.voxcpm import params as voxcpm_params
from tests.fuzzing.mutator import INPUTS, SEED, Mutator
from tests.protocols.foreign.values import (
    BROKEN,
    PACKED,
    Schema,
    messages,
    mutated,
    names_in,
    object_of,
    schema_of,
)
from tests.protocols.foreign.values import sample as sample_of

SAMPLES: dict[str, list[Any]] = json.loads(Path(__file__).with_name("samples.json").read_text("utf-8"))
"""Valid messages with most of their fields."""

Frame = str | bytes
Answers = list[Any]
Case = tuple[str, list[Frame]]
"""A name of the fault, and what is sent."""

Settled = Callable[[Answers], bool]
"""Returns whether all answers have come; a closed connection always is an answer."""


def one_of(*types: str) -> Settled:
    return lambda answers: answers[-1].get("type") in types


@dataclass(frozen=True)
class Door:
    """A WebSocket; query: names of parameters; without ``settled`` its end is waited for."""

    path: str
    cases: Callable[[], Iterator[Case]]
    settled: Settled = lambda answers: False
    query: Sequence[str] = ()
    options: dict[str, Any] = field(default_factory=dict)
    route: str = ""  # as the routes have it, if that is another
    once: bool = False  # whether each case has a connection of its own


def _cases(schema: Schema, *examples: Any, after: Sequence[Any] = ()) -> Iterator[Case]:
    rest: list[Frame] = [json.dumps(each) for each in after]
    for example in examples:
        yield from ((about, [text, *rest]) for about, text in messages(schema, example))


def _broken(samples: str = "", after: Sequence[Any] = ()) -> Iterator[Case]:
    """Yield messages that are none, and mutated ones of ``SAMPLES``."""
    rest: list[Frame] = [json.dumps(each) for each in after]
    for sample in SAMPLES.get(samples, ()):
        yield from ((text, [text, *rest]) for text in mutated(sample, INPUTS // 4))
    yield from ((f"{text[:20]!r}…", [text, *rest]) for text in BROKEN)
    yield "binary", [b"\xff", *rest]


def _kani() -> Iterator[Case]:
    data = _with(schema_of(kani_messages._Data), config=schema_of(kani_messages.Config))
    requests = ({"type": f"tts_{kind}", "data": {"text": "a"}} for kind in ("request", "stream_request"))
    yield from _broken("kani")
    yield from _cases(object_of(["type"], data=data), *requests)


_VOXCPM = names_in(voxcpm_messages)
_PING = {"type": "ping", "timestamp": 7}


def _voxcpm() -> Iterator[Case]:
    params = schema_of(voxcpm_params.Given)
    request = {"type": "tts_request", "request_id": "1", "params": {"text": "a"}}
    yield from _broken("voxcpm")
    yield from _cases(object_of(_VOXCPM, params=params), request)


def _voxcpm_others() -> Iterator[Case]:
    others = ({"type": kind, "request_id": "1"} for kind in ("ping", "cancel"))
    yield from _cases(object_of(_VOXCPM), *others, after=[_PING])


def _relay() -> Iterator[Case]:
    end = [{"action": "finish_tts"}, {"action": "ping"}]
    texts = ({"action": action, "text": "a"} for action in ("start_tts", "append_tts"))
    yield from _broken("relay", end)
    yield from _cases(object_of(names_in(relay_messages)), *texts, after=end)


_HEARD = {"message_type": "input_audio_chunk", "audio_base_64": "", "commit": True}


def _listening() -> Iterator[Case]:
    yield from _broken(after=[_HEARD])
    yield from _cases(schema_of(elevenlabs_listening.AudioChunk), _HEARD, after=[_HEARD])


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _elevenlabs() -> Iterator[Case]:
    end = [{"text": ""}, {"close_socket": True}]
    settings = schema_of(voice_settings.Settings)
    schema = _with(schema_of(elevenlabs_messages.ClientMessage), voice_settings=settings)
    yield from _broken("elevenlabs", end)
    yield from _cases(schema, {"text": "a "}, after=end)


def _dialogue() -> Iterator[Case]:
    end = [{"close_socket": True}]
    turn = {"text": "a", "voice_id": "tone_es"}
    settings = schema_of(voice_settings.DialogueSettings)
    schema = _with(schema_of(elevenlabs_messages.ClientMessage), voice_settings=settings)
    yield from _broken("dialogue", end)
    yield from _cases(schema, {"inputs": [turn], "voices": ["tone_es"]}, after=end)


def _agent() -> Iterator[Case]:
    barrier = [{"type": "barrier"}]
    fields, tools = schema_of(agent_config._Fields), _array(schema_of(agent_config._Tool))
    prompt = _with(schema_of(agent_config._Prompt), tools=tools)
    agent = _with(schema_of(agent_config._Agent), prompt=prompt)
    override = _with(fields, agent=agent, conversation=schema_of(agent_config._Conversation))
    schema = _with(schema_of(agent_config.Initiation), conversation_config_override=override)
    tool = {"type": "client", "name": "a"}
    given = {"agent": {"prompt": {"tools": [tool]}}}
    begun = {"type": "conversation_initiation_client_data", "conversation_config_override": given}
    yield from _broken(after=barrier)
    yield from _cases(schema, begun, after=barrier)
    for kind, name in (
        ("user_message", agent_messages.Written),
        ("contextual_update", agent_messages.Written),
        ("client_tool_result", agent_messages.ToolResult),
        ("", agent_messages.Audio),
    ):
        named = {"type": kind} if kind else {}
        yield from _cases(schema_of(name), named | sample_of(schema_of(name)), after=barrier)


def _agent_settled(answers: Answers) -> bool:
    return "'barrier'" in (answers[-1].get("error_event") or {}).get("message", "")


def _message_pack() -> Iterator[Case]:
    kinds = [
        kind
        for kind in vars(kyutai_messages).values()
        if isinstance(kind, type) and issubclass(kind, kyutai_messages._Tagged)
    ]
    end: list[Frame] = [kyutai_messages.EOS_BYTE, b"\xc1"]
    mutator = Mutator(f"{SEED}/kyutai")
    for sample in SAMPLES["kyutai"] * (INPUTS // 20):
        packed = _packed(mutator, sample)
        yield f"{packed[:40]!r}", [packed, *end]
    for value in PACKED:
        yield f"{value[:20]!r}", [value, *end]
        for kind in kinds:
            tag = msgspec.msgpack.encode(kind.__struct_config__.tag)
            for name in ("type", "other", *kind.__struct_fields__):
                key = msgspec.msgpack.encode(name)
                message = b"\x82\xa4type" + (value if name == "type" else tag) + key + value
                yield f"{kind.__name__}.{name} = {value[:20]!r}", [message, *end]


def _packed(mutator: Mutator, sample: Any) -> bytes:
    try:
        packed = msgspec.msgpack.encode(mutator.object(sample))
    except (UnicodeEncodeError, OverflowError):
        # What MessagePack has no way to write.
        packed = msgspec.msgpack.encode(sample)
    return mutator.bytes(packed) if mutator.sometimes() else packed


def _with(schema: Schema, **properties: Schema) -> Schema:
    return {**schema, "type": "object", "properties": {**schema.get("properties", {}), **properties}}


_TOOLS = {"tools": _array(schema_of(tools._Tool)), "tool_choice": schema_of(tools._Tool)}
_TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
_CALL = {"type": "function_call", "call_id": "1", "name": "a"}
_OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "a"}
_ITEMS = (
    (_TEXT, _with(schema_of(conversation._Message), status={}, object={})),
    (_CALL, _with(schema_of(conversation._FunctionCall), type={}, status={})),
    (_OUTPUT, _with(schema_of(conversation._FunctionOutput), type={}, status={})),
    ({"type": "item_reference", "id": "a"}, object_of(["type", "id"])),
)


def _realtime() -> Iterator[Case]:
    for number, (about, frames) in enumerate([*_events()]):
        barrier = {"type": "conversation.item.retrieve", "item_id": "none", "event_id": f"barrier {number}"}
        yield about, [*frames, json.dumps(barrier)]


def _events() -> Iterator[Case]:
    yield from _broken("realtime")
    names = names_in(connection, client_events)
    for kind in connection.CLIENT_EVENTS:
        for about, frames in _cases(object_of(["event_id", *names]), {"type": kind}):
            yield f"{kind}, {about}", frames
    session = _with(schema_of(session_update._Session), **_TOOLS)
    for kind in ("session.update", "transcription_session.update"):
        yield from _cases(object_of([], session=session), {"type": kind, "session": {}})
    answer = _with(schema_of(response_fields.ResponseFields), **_TOOLS)
    written = {"conversation": "none", "output_modalities": ["text"], "input": [_TEXT]}
    asked = {"type": "response.create", "response": written}
    yield from _cases(object_of([], response=answer), asked)
    for item, schema in _ITEMS:
        made = {"type": "conversation.item.create", "item": item}
        yield from _cases(object_of(["previous_item_id"], item=schema), made)
        given = _with(answer, input=_array(schema))
        response = {"type": "response.create", "response": {**written, "input": [item]}}
        yield from ((a, f) for a, f in _cases(object_of([], response=given), response) if ".input.0" in a)


def _realtime_settled(answers: Answers) -> bool:
    kinds = [each.get("type") for each in answers]
    ends = [each for each in answers if str((each.get("error") or {}).get("event_id")).startswith("barrier")]
    return bool(ends) and kinds.count("response.created") == kinds.count("response.done")


def _live() -> Iterator[Case]:
    """One of the two ends the session: what is wrong, or its close."""
    end = {"type": "session.close"}
    session, start = schema_of(live_session._Session), {"type": "session.start", "session": {"model": "a"}}
    yield from _broken("live", after=[end])
    yield from _cases(object_of(["event_id"], session=session), start, after=[end])


def _unmute() -> Iterator[Case]:
    instructions = {"type": "constant", "text": "a"}
    good = {"type": "session.update", "session": {"allow_recording": False, "instructions": instructions}}
    barrier = {"type": "none", "event_id": "barrier"}
    for about, frames in _cases(object_of(["event_id", "audio"], session=schema_of(Session)), good):
        yield f"first, {about}", [*frames, json.dumps(good), json.dumps(barrier)]
        yield f"later, {about}", [json.dumps(good), *frames, json.dumps(barrier)]


def _unmute_settled(answers: Answers) -> bool:
    return str((answers[-1].get("error") or {}).get("event_id")) == "barrier"


_SPEECH = one_of("tts_response", "tts_stream_complete", "pong")
_ELEVENLABS_QUERY = names_in(elevenlabs_query)
_KYUTAI_QUERY = names_in(kyutai_query)
_KEYED = {"kyutai-api-key": "public_token"}

DOORS = (
    Door("/", _kani, _SPEECH),
    Door("/tts", _voxcpm, one_of("complete", "error")),
    Door("/tts", _voxcpm_others, lambda answers: answers[-1].get("timestamp") == _PING["timestamp"]),
    *(Door(path, _relay, one_of("pong")) for path in ("/stream_tts", "/client", "/agent")),
    *(
        Door(route.format(voice_id="tone_es"), cases, query=_ELEVENLABS_QUERY, route=route)
        for name in ("stream-input", "multi-stream-input")
        for route, cases in (
            (f"/v1/text-to-speech/{{voice_id}}/{name}", _elevenlabs),
            (f"/v1/text-to-dialogue/{name}", _dialogue),
        )
    ),
    Door(
        LISTENING,
        _listening,
        lambda answers: answers[-1].get("message_type") == "committed_transcript",
        query=SessionConfig.__struct_fields__,
    ),
    *(
        Door(f"{path}?format=PcmMessagePack", _message_pack, query=_KYUTAI_QUERY, options=_KEYED, route=path)
        for path in ("/api/tts_streaming", "/api/tts-streaming", "/api/asr-streaming")
    ),
    Door(AGENT_PATH, _agent, _agent_settled, query=["agent_id"], once=True),
    *(Door(path, _live, once=True) for path in live.PATHS),
    Door("/v1/realtime?model=a", _realtime, _realtime_settled, query=names_in(realtime), route=realtime.PATH),
)
UNMUTE = Door(realtime.PATH, _unmute, _unmute_settled, once=True)
