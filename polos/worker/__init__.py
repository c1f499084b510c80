"""The worker: claims executions and runs user code. The only room that imports it."""
