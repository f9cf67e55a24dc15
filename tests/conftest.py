"""Settings all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The same examples on every machine: a failure in CI can be repeated at home.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks these tests use."""
    config.addinivalue_line("markers", "slow: takes minutes; leave it out with -m 'not slow'")
