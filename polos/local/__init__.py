"""Client, worker and engine in one process: `Polos`. The only room that puts them together."""
