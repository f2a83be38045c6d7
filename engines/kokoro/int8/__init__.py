"""The int8 decoder: the graph's second half with int8 convolutions and fused kernels between them."""
