"""Containers as processes: isolation, folders, Python environment."""
