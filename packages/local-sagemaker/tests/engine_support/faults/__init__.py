"""Kills at seeded moments, and a count of what was acknowledged before them."""
