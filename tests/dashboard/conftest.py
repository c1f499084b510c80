"""Async tests run on the loop of the conformance tests."""

from __future__ import annotations

from tests.conformance import looping

runner = looping.runner
pytest_pyfunc_call = looping.call
