"""The language model of conversations: an endpoint of OpenAI's chat completions, by HTTP.

``endpoint`` asks it, ``wire`` is its JSON, ``reasoning`` drops what a model thinks before it answers.
"""
