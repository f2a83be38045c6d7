"""Parts of the engines that relay to another service: its address, the fallback engine, and their metrics."""
