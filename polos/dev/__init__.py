"""The local dev server: one process owns the database, child processes run the user's code, one generation at a time."""
