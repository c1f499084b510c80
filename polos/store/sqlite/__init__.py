"""The SQLite store: one file, one owner, one writing connection, group commit."""
