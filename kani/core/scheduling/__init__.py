"""Queues for a limited number of slots: the earliest deadline is served first."""
