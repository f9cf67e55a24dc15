"""The steps of a build that are ours; FINN's own run between them (build.py)."""
