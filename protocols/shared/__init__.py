"""Parts that several protocols use; none of them belongs to one protocol."""
