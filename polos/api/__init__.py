"""The HTTP API as both sides see it: its models, of which the OpenAPI document is made, and the client's side of it."""
