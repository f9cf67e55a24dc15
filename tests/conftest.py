"""Settings all tests share."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every machine: a failure in CI can be repeated at home.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
