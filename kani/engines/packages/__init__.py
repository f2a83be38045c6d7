"""Makers' packages as engines and recognisers: each in an environment and a process of its own.

A package needs one adapter (``adapter``): a class of its own words, which runs in the worker's process. The
rest is here: the server's ends (``engine``, ``recognizer``), the worker's ends (``speaking``, ``hearing``).
Between them are the messages of ``kani.engines.remote``.
"""
