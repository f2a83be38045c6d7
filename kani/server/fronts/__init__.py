"""One server as several processes, ``--fronts``."""
