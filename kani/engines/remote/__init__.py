"""Engines and recognisers in other processes: one message protocol over a Unix or TCP socket."""
