"""Options and fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", default=False, help="run the long tests too, and the long form of others"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="a long run: give --long to have it")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


_told: list[str] = []


@pytest.fixture
def tell() -> Iterator[Callable[[str], None]]:
    """Says something that is shown at the end of the run, whatever is captured."""
    yield _told.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _told:
        terminalreporter.section("figures")
        for line in _told:
            terminalreporter.write_line(line)
