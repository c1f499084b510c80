"""A store over a unix socket: what an owner serves, and what commands and workers of other processes use of it."""
