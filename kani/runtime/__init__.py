"""Parts that several engines share: weights, devices, integer products, speaker embeddings."""
