"""The dashboard, driven by its keys."""
