"""The language model of conversations: an endpoint of OpenAI's chat completions, by HTTP.

``endpoint`` asks it, ``wire`` is its JSON, ``events`` its stream of server-sent events, ``reasoning`` drops
what a model thinks before it answers.
"""
