"""Faces: alignment, pictures by identity."""
