"""One server as several processes, ``--fronts``: their parent, and requests that one of them answers."""
