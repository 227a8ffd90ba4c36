"""Anonymizers: learned filters and handcrafted baselines behind one interface."""
