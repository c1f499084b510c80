"""`polos dashboard`: what runs, what waits for what, what failed and why, on one screen, live. Starts no engine."""
