"""The way out: stdout is data, stderr is talk, every stored text is made harmless (R9). Reads nothing."""
