"""The templates of `polos init`: found, rendered, planned, written. Overwrites nothing."""
