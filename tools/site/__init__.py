"""`make site`: the lessons, solutions, report and docs as static pages (`conf.py`, for Sphinx)."""
