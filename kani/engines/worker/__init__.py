"""Workers: each serves one engine or recogniser to servers, by the messages of ``kani.engines.remote``."""
