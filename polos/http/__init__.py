"""The HTTP API: one gate, routes over a client, and the client's side of it."""
