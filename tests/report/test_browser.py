"""Reports of six kinds of models, and the board, as a browser shows them.

    pip install '.[test,browser]' && python -m pytest -m long tests/report

It takes Chromium on this machine. Everything is looked at in a light and a dark page, wide and
narrow; the pictures are kept in the folder of $SPECC_SCREENSHOTS, if that is set.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from making import screens

from specc.plots.ticks import ticks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.long, pytest.mark.slow]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

MODELS = {
    "digits": ("models/digits.dl", None, ["epochs=3"]),
    "regression_mse": ("models/regression_mse.dl", "examples/houses", ["epochs=5"]),
    "hello": ("models/hello.dl", "examples/hello", ["epochs=10"]),
    "translate": ("models/translate.dl", "examples/translate", ["epochs=1"]),
    "multitask_hard": ("models/multitask_hard.dl", "examples/multitask", ["epochs=1"]),
    "siamese": ("models/siamese.dl", "examples/siamese", ["epochs=1"]),
}
FIGURES = {
    "digits": {"confusion", "mistakes", "calibration", "embedding"},
    "regression_mse": {"fit", "weights"},
    "hello": {"confusion", "states"},
    "translate": {"confusion", "states"},
    "multitask_hard": {"confusion", "fit", "roc"},
    "siamese": {"filters", "maps", "features", "embedding"},
}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of each model; its folder by name."""
    from specc.cli.main import status_of

    folder = tmp_path_factory.mktemp("reports")
    os.environ["PYTHONPATH"] = str(ROOT)
    found = {}
    for name, (file, data, changes) in MODELS.items():
        where = []
        if data is not None:
            made = ROOT / data / "make_data.py"
            if not list((ROOT / data).glob("*.csv")) and not list((ROOT / data).glob("*.npz")):
                assert os.system(f'"{os.sys.executable}" "{made}"') == 0
            where = ["--data", str(ROOT / data)]
        status = status_of(
            ["train", str(ROOT / file), *changes, "--run", str(folder), "--quiet", *where]
        )
        assert status == 0, name
        found[name] = folder / name / "1"
        assert status_of(["report", str(found[name])]) == 0
    return found


def opened(browser, address, dark, width):
    """A page of an address, and what went wrong on it."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    wrong, asked = [], []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address, wait_until="load")
    return page, wrong, asked


def keep(page, name):
    if folder := os.environ.get("SPECC_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_the_pages_have_the_ticks_of_the_figures(browser):
    rng = np.random.default_rng(1)
    ranges = [(0.0, 7.3, 6), (2.0, 2.0, 5), (-0.2, 1.0, 5), (1e-5, 3e-5, 6)]
    for _ in range(50):
        low = float(rng.normal())
        ranges.append((low, low + float(10 ** rng.uniform(-6, 6)), int(rng.integers(2, 9))))
    page = browser.new_page()
    page.set_content(f"<script>{(ROOT / 'specc/report/ticks.js').read_text()}</script>")
    for low, high, most in ranges:
        assert page.evaluate(f"ticks({low}, {high}, {most})") == ticks(low, high, most)
    page.close()


def check_access(page, name):
    """No finding of axe-core, which reads contrast, labels and structure."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page)
    told = [f"{each['id']}: {each['help']}, {each['nodes'][0]['html'][:120]}"
            for each in found.response["violations"]]  # fmt: skip
    assert not told, f"{name}: {told}"


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_report_is_whole_and_readable(browser, runs, name, dark, width):
    page, wrong, asked = opened(browser, (runs[name] / "report.html").as_uri(), dark, width)
    keep(page, f"{name}-{'dark' if dark else 'light'}-{width}")
    assert not wrong
    assert [each for each in asked if not each.startswith(("file:", "data:"))] == []
    sections = page.locator("section")
    names = {sections.nth(k).get_attribute("id") for k in range(sections.count())}
    assert FIGURES[name] | {"model", "curves"} <= names
    assert ("flow" in names) == ("cost" in names) == (name != "regression_mse"), "it has no layers"
    # a distance between two examples is not a probability
    assert ("confusion" in names) == (name not in ("regression_mse", "siamese"))
    for figure in page.locator("figure svg").all():
        box = figure.bounding_box()
        assert box["width"] > 40 and box["height"] > 20
        is_picture = "picture" in figure.get_attribute("class")  # of a gallery
        parts = figure.locator("rect, circle, polyline, image, path, text").count()
        assert parts > 2 or (is_picture and parts == 2)
    for part in page.locator(".gallery, .passage, .lines").all():  # all wrap to the page
        assert part.bounding_box()["width"] <= width - 32 and part.inner_text() is not None
        assert part.evaluate("each => each.scrollWidth <= each.clientWidth + 1")
    # nothing but figures and tables, which scroll, is wider than the page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    check_access(page, name)
    page.close()


def test_curves_tell_values_and_zoom(browser, runs):
    page, wrong, _ = opened(browser, (runs["regression_mse"] / "report.html").as_uri(), False, 1400)
    panel = page.locator(".panel").first
    panel.scroll_into_view_if_needed()
    box = panel.locator("rect[fill=transparent]").bounding_box()
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    text = page.locator("#tip").inner_text()
    table = (runs["regression_mse"] / "metrics.csv").read_text().splitlines()
    head, rows = table[0].split(","), [line.split(",") for line in table[1:]]
    row = rows[2]
    assert text.splitlines()[0] == "epoch 3"
    shown = float(re.search(r"training: ([\d.e+-]+)", text)[1])
    assert shown == pytest.approx(float(row[head.index("train_loss")]), rel=0.02)
    page.mouse.down()
    page.mouse.move(x + box["width"] * 0.3, y)
    page.mouse.up()
    ends = [float(each) for each in panel.locator(".x-axis text").all_text_contents()]
    assert min(ends) >= 2.9 and max(ends) <= 4.3
    page.mouse.dblclick(x, y)
    assert "1" in panel.locator(".x-axis text").all_text_contents()
    assert not wrong
    page.close()


def test_the_button_turns_day_to_night(browser, runs):
    page, _, _ = opened(browser, (runs["hello"] / "report.html").as_uri(), False, 1400)

    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    day = ground()
    page.locator("#theme").click()
    assert ground() != day
    page.locator("#theme").press("Enter")
    assert ground() == day
    page.close()


def test_the_pictures_of_the_readme_are_made(browser, runs, tmp_path):
    image = pytest.importorskip("PIL.Image")
    brightness = {}
    for path in screens.shots(browser, runs["digits"] / "report.html", tmp_path):
        pixels = np.asarray(image.open(path).convert("L"))
        assert pixels.shape == (screens.SIZE["height"], screens.SIZE["width"])
        assert len(np.unique(pixels)) > 50
        brightness[path.name] = np.median(pixels)
    assert brightness["report-light.png"] > 200 > 60 > brightness["report-dark.png"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/figures/{name}" in readme for name in brightness)


def test_the_board_follows_runs(browser, runs, tmp_path):
    from specc.board.server import Server

    root = tmp_path / "runs"
    for name in ("digits", "hello"):
        shutil.copytree(runs[name], root / name / "1")
    server = Server(root)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for dark in (False, True):
            page, wrong, _ = opened(browser, server.address, dark, 1400)
            page.wait_for_selector("#charts svg")
            assert page.locator("#runs tr").count() == 2
            page.locator("#runs input").nth(1).check()
            page.wait_for_selector("#compare table")
            keep(page, f"board-{'dark' if dark else 'light'}")
            check_access(page, "board")
            assert not wrong
            if not dark:
                line = (root / "digits/1/metrics.csv").read_text().splitlines()[-1]
                cells = line.split(",")
                with (root / "digits/1/metrics.csv").open("a") as file:
                    file.write(",".join(["99", *cells[1:]]) + "\n")
                page.wait_for_selector("#runs >> text=/^99 ./")
            page.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_report_of_a_long_history_is_small_and_quick(runs, tmp_path):
    """10,000 epochs: the page stays under 3 MB."""
    from specc.plots.subject import of_run
    from specc.report.page import page
    from specc.runs.listener import AsWarnings

    folder = tmp_path / "long"
    shutil.copytree(runs["regression_mse"], folder)
    head = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    rng = np.random.default_rng(0)
    rows = rng.random((10_000, len(head)))
    lines = [
        ",".join([str(number), str(7 * number), *(f"{each:.6f}" for each in row[2:])])
        for number, row in enumerate(rows, 1)
    ]
    (folder / "metrics.csv").write_text("\n".join([",".join(head), *lines]) + "\n")
    text = page(of_run(folder, AsWarnings()))
    assert len(text) < 3_000_000 and "10000 epochs" in text
