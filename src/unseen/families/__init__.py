"""Families of experiments, as the papers' figures show them: a JSON file each."""
