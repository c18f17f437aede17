"""The dry run of AWS mode: what the notebooks asked, and whether AWS would take and allow it."""
