"""Data sets: the embedded benchmark and the user's own videos."""
