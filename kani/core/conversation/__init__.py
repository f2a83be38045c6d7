"""A conversation: what was said on both sides, and answers of a language model, spoken as they are written.

``history`` keeps the ``items``, ``prompt`` writes them for the model, ``answer`` runs one answer, ``early``
begins one before the turn has ended. Wires and turn detection are the callers'.
"""
