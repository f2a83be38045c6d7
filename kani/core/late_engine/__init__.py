"""An engine that is loaded and tried while others speak already, and then preferred to them."""
