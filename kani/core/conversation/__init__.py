"""A conversation: what was said on both sides, and answers of a language model, spoken as they are written.

``history`` keeps the ``items``, ``prompt`` writes them for the model, ``answer`` runs one answer, ``early``
begins one before the turn has ended. ``input`` finds the user's turns, ``turn_answers`` decides which
are answered and what they interrupt, ``responses`` makes the answers. Wires are the callers': they replace
``InputEvents`` and ``Output``.
"""
