"""Programs that make networks and their data: ``python -m tools.NAME``. The server needs none of them."""
