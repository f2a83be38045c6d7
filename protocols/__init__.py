"""Who asks: one wire protocol a module; none knows an engine or another dialect."""
