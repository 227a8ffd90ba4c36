"""Anonymizers applied to video files. Imports no training code."""
