"""What the HTTP API says and takes, as models: the OpenAPI document is made of them. Reads no store."""
