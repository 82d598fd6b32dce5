"""Pictures of a report for the README: the page of a run in a browser, by day and by night.

    python -m making.screens        # with docs/ on PYTHONPATH; docs/figures/report-*.png

It takes playwright and Chromium (`pip install '.[browser]'`).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import specc

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
THEMES = ("light", "dark")
SIZE = {"width": 1120, "height": 700}
SECTION = "features"
"""The first section of the report that the picture shows."""


def report(runs: Path, epochs: int = 15) -> Path:
    """Train the digits, and return the report of the run."""
    from specc.plots.subject import of_run
    from specc.report.page import page
    from specc.runs.listener import AsWarnings

    run = specc.train(ROOT / "models" / "digits.dl", runs=runs, quiet=True, epochs=epochs)
    path = run.folder / "report.html"
    path.write_text(page(of_run(run.folder, AsWarnings())), encoding="utf-8")
    return path


def shots(browser: Any, path: Path, folder: Path) -> list[Path]:
    """Write a picture of the report for each theme into a folder."""
    written = []
    for theme in THEMES:
        page = browser.new_page(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")
        page.goto(f"{path.as_uri()}#{SECTION}", wait_until="load")
        # two frames later all of it is painted
        page.evaluate("new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))")
        out = folder / f"report-{theme}.png"
        page.screenshot(path=str(out))
        written.append(out)
        page.close()
    return written


def main() -> None:
    from playwright.sync_api import sync_playwright

    found = next(path for name in BROWSERS if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        shots(browser, report(Path(runs)), ROOT / "docs" / "figures")
        browser.close()


if __name__ == "__main__":
    main()
