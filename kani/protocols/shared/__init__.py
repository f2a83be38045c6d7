"""Parts that several protocols use, and the contract between a protocol and the server."""
