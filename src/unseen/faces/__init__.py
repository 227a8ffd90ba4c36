"""Faces in video: found, followed, and covered in every frame."""
