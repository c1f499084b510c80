"""How programs start, follow and answer executions. Runs no workflow."""
