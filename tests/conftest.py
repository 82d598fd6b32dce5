"""Options and fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write expected outputs anew")


def pytest_collection_modifyitems(config, items):
    if "long" in config.option.markexpr.split():
        return
    skip = pytest.mark.skip(reason="takes very long: python -m pytest -m long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture
def golden(request):
    """Compares a text with the file that holds what is expected; writes it with --update-golden."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {path}; write it with pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare
