"""A client of the relay that checks all that comes; its app's own logic is examples/relay_client.py."""
