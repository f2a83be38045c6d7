"""The command line of `python websocket_client.py`: what the two copyable files leave out."""
