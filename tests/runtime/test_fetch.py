"""Data sets are fetched, verified and resumed, from a server of these tests on this machine."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from sources import recipe

from specc.diagnostics import SpecError
from specc.recipe import DataCall, Port
from specc.recipe.datasets import DATASETS, Dataset, Remote
from specc.runtime.data import load
from specc.runtime.errors import DataError
from specc.runtime.fetch import fetch
from specc.runtime.given import source

CONTENT = np.random.default_rng(0).bytes(700_000)


@pytest.fixture
def server():
    """A server whose `cut` is the most bytes of an answer; it notes the ranges that are asked."""

    class Handler(BaseHTTPRequestHandler):
        content, cut, asked, has_ranges = CONTENT, None, [], True

        def do_GET(self):
            wanted = self.headers.get("Range")
            type(self).asked.append(wanted)
            if self.path != "/folder/a.bin":
                self.send_error(404)
                return
            start = 0
            if wanted and self.has_ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            answer = self.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer[: self.cut])

        def log_message(self, *_):
            pass

    Handler.asked = []
    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield Handler, f"http://127.0.0.1:{made.server_port}/folder/"
    made.shutdown()
    made.server_close()


def sets(home, content=CONTENT, name="a.bin"):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return {"letters": Dataset("letters", (Remote(name, home, digest, len(content)),), "")}


def said(folder, datasets) -> str:
    with pytest.raises(SpecError) as caught:
        fetch("letters", folder, datasets=datasets)
    (found,) = caught.value.diagnostics
    return f"{found.message}\n{found.help}"


def test_a_file_is_fetched_once_and_then_only_verified(tmp_path, server):
    handler, home = server
    seen = []
    (path,) = fetch("letters", tmp_path, lambda *each: seen.append(each), sets(home))
    assert path == tmp_path / "letters" / "a.bin" and path.read_bytes() == CONTENT
    assert seen[-1] == ("a.bin", len(CONTENT), len(CONTENT))
    assert list((tmp_path / "letters").iterdir()) == [path]
    fetch("letters", tmp_path, datasets=sets(home))
    assert handler.asked == [None]
    path.write_bytes(CONTENT[:-1])
    fetch("letters", tmp_path, datasets=sets(home))
    assert path.read_bytes() == CONTENT and len(handler.asked) == 2


def test_a_cut_file_goes_on_where_it_stopped(tmp_path, server):
    handler, home = server
    handler.cut = 300_000
    message = said(tmp_path, sets(home))
    assert "ended after 300,000 of 700,000 bytes" in message or "cannot fetch" in message
    assert "run the same command to resume" in message
    assert not (tmp_path / "letters" / "a.bin").exists()
    handler.cut = None
    (path,) = fetch("letters", tmp_path, datasets=sets(home))
    assert path.read_bytes() == CONTENT and handler.asked == [None, "bytes=300000-"]


def test_a_server_without_ranges_sends_all_of_it_again(tmp_path, server):
    handler, home = server
    handler.cut = 300_000
    said(tmp_path, sets(home))
    handler.cut, handler.has_ranges = None, False
    (path,) = fetch("letters", tmp_path, datasets=sets(home))
    assert path.read_bytes() == CONTENT


def test_other_bytes_are_refused_and_removed(tmp_path, server):
    handler, home = server
    handler.content = CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y"
    assert "is not the one that specc expects: its SHA256 differs" in said(tmp_path, sets(home))
    assert list((tmp_path / "letters").iterdir()) == []
    assert "answers 404" in said(tmp_path, sets(home, name="b.bin"))
    closed = sets("http://127.0.0.1:9/")
    assert "cannot fetch `http://127.0.0.1:9/a.bin`" in said(tmp_path, closed)


def test_every_data_set_has_hashes_sizes_and_a_home():
    for each in DATASETS.values():
        for file in each.files:
            algorithm, _, digest = file.digest.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
            assert file.size > 1000 and file.home.endswith("/")


# What was fetched is found


def idx(array) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.mark.parametrize("word", ["mnist", "fashion_mnist"])
def test_sources_find_what_was_fetched(tmp_path, monkeypatch, word):
    monkeypatch.setenv("SPECC_DATA_DIR", str(tmp_path))
    ports = (Port("image", "input", "float", (1, 28, 28)), Port("y", "target", "class", (), 10))
    name = word.replace("_", "-")
    with pytest.raises(DataError) as caught:
        load(recipe(word), ports, tmp_path)
    (found,) = caught.value.diagnostics
    assert (
        found.name == "missing-data"
        and found.help == f"to download it, run `specc data fetch {name}`"
    )
    (tmp_path / name).mkdir()
    for first, count in (("train", 6), ("t10k", 4)):
        images = np.full((count, 28, 28), count, np.uint8)
        (tmp_path / name / f"{first}-images-idx3-ubyte.gz").write_bytes(idx(images))
        labels = np.arange(count, dtype=np.uint8)
        (tmp_path / name / f"{first}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    data = load(recipe(word), ports, tmp_path).training
    assert len(data) == 6 and data.columns["image"].scale == 1 / 255
    data = load(recipe(word, part="test"), ports, tmp_path).training
    assert data.columns["y"].array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("word", "scale"), [("mnist", 1 / 255), ("digits", 1 / 16), ("idx", None)])
def test_the_scale_of_a_source_holds_for_other_forms_of_its_data(tmp_path, word, scale):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    for data in ({"x": [1.0]}, str(tmp_path / "a.npz")):
        found = source(data, DataCall(word))
        assert found.settings.get("scale") == scale
    assert source({"x": [1.0]}, DataCall("mnist", (), {"scale": 2.0})).settings["scale"] == 2.0


def test_files_of_the_data_folder_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECC_DATA_DIR", str(tmp_path / "own"))
    (tmp_path / "own" / "letters").mkdir(parents=True)
    (tmp_path / "own" / "letters" / "a.csv").write_text("x\n1\n")
    ports = (Port("x", "input", "float", ()),)
    found = load(recipe("csv", "letters/a.csv"), ports, tmp_path).training
    assert found.columns["x"].array.tolist() == [1]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.csv").write_text("x\n2\n")  # a file of the model's folder is first
    found = load(recipe("csv", "letters/a.csv"), ports, tmp_path).training
    assert found.columns["x"].array.tolist() == [2]


def test_the_command_lists_and_fetches(tmp_path, monkeypatch, server, specc):
    monkeypatch.setenv("SPECC_DATA_DIR", str(tmp_path))
    _, home = server
    made = sets(home)["letters"]
    monkeypatch.setitem(DATASETS, "tinyshakespeare", replace(made, usage="data text(..)"))
    assert "mnist" in specc("data")[1]
    status, said, _ = specc("data", "fetch", "tinyshakespeare")
    assert status == 0 and "in a `train` block: data text(..)" in said
    assert (tmp_path / "tinyshakespeare" / "a.bin").read_bytes() == CONTENT
    assert "fetched  letters" in specc("data")[1]
    status, _, said = specc("data", "fetch", "mnits")
    assert status == 2 and "did you mean `mnist`?" in said
