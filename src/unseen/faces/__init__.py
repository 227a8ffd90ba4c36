"""Faces: found, followed and covered in video; aligned; pictures by identity."""
