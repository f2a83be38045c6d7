"""What engines that relay to another service share: its address, the fallback engine, and their metrics."""
