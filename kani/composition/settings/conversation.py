"""Settings of conversations: the chat endpoint that answers, and its limits."""

from kani.composition.settings.network import NetworkSettings
from kani.composition.settings.types import BaseAddress, HeaderKey
from kani.engines.plugin_settings import setting

CONVERSATION = "Conversations"
NEEDS = ("KANI_LLM_URL",)

INSTRUCTIONS = (
    "You are a voice assistant: the user speaks to you, and your answer is read aloud. Answer in the user's "
    "language, in one to three short sentences, as people talk: no lists, no headings, no tables, no code, "
    "no emoji. The user's words come from speech recognition and may be misheard."
)


class ConversationSettings(NetworkSettings):
    """Settings of conversations, frozen; an unknown name is an error."""

    llm_url: BaseAddress | None = setting(
        None,
        "KANI_LLM_URL",
        group=CONVERSATION,
        about="Base address of a chat endpoint of OpenAI's form, which answers what is said on "
        "`/v1/realtime`: `http://localhost:11434/v1` is Ollama ([conversation.md](conversation.md)). What is "
        "said goes to that address, as text. Not set: speech is transcribed and not answered.",
    )
    llm_model: str | None = setting(
        None,
        "KANI_LLM_MODEL",
        needs=NEEDS,
        min_length=1,
        max_length=200,
        about="Name of its model. Not set: the only one that the endpoint lists.",
    )
    llm_api_key: HeaderKey | None = setting(
        None,
        "KANI_LLM_API_KEY",
        about="Key of that endpoint, if it requires one. Never printed or logged.",
    )
    llm_instructions: str = setting(
        INSTRUCTIONS,
        "KANI_LLM_INSTRUCTIONS",
        needs=NEEDS,
        max_length=100_000,
        about="Instructions of the model, for clients that give none.",
    )
    llm_early: bool | None = setting(
        None,
        "KANI_LLM_EARLY",
        needs=NEEDS,
        about="Begin an answer in a pause that probably ends a turn, before it is sure that the user "
        "has said all: it comes sooner, and is dropped unheard if the user goes on, which costs a request. "
        "Not set: where the endpoint is on this machine or in a private network, and needs no key.",
    )
