"""The board: what it answers, to whom, and how it follows runs."""

import http.client
import json
import os
import shutil
import threading
from urllib.parse import urlsplit

import pytest

from specc.board import watch as watching
from specc.board.server import Server
from specc.board.watch import RunsWatch

RECORD = {
    "model": "m", "file": "/m.dl", "data": "/", "overrides": {"lr": "0.1"}, "seed": 0, "batch": 8,
    "epochs": 5, "dtype": "float32", "threads": 1, "specc": "0.1", "status": "running",
}  # fmt: skip
HEAD = "epoch,step,seconds,train_loss,val_loss\n"


def add(root, number, lines=2):
    folder = root / "m" / str(number)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(RECORD))
    rows = [f"{k},{k},{0.5 * k},{1 / k},{2 / k}" for k in range(1, lines + 1)]
    (folder / "metrics.csv").write_text(HEAD + "\n".join(rows) + "\n")
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "OFTEN", 0.0)
    monkeypatch.setattr(watching, "BUDGET", 60.0)
    return tmp_path


@pytest.fixture
def served(root):
    add(root, 1)
    server = Server(root)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server, path, host=None):
    """The status, the headers and the body of an answer to a path below the secret."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", parts.path + path, headers={"Host": host or parts.netloc})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_the_page_and_what_it_needs(served):
    for path in ("", "style.css", "board.css", "ticks.js", "board.js"):
        status, headers, body = get(served, path)
        assert status == 200 and len(body) > 500
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"https://" not in get(served, "")[2]


def test_only_who_knows_the_secret_is_answered(served):
    host = urlsplit(served.address).netloc
    for path in ("/", "/wrong/", "/wrong/events", f"/{served.token}", "/../runs"):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()
    assert get(served, "", host="example.org")[0] == 404
    assert get(served, "", host=host.replace("127.0.0.1", "localhost"))[0] == 200
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("POST", f"/{served.token}/", b"x")
    assert connection.getresponse().status == 501
    connection.close()
    assert served.server_address[0] == "127.0.0.1"


def test_curves_and_unknown_names(served, root):
    found = json.loads(get(served, "curves?run=m/1")[2])
    assert found["val_loss"] == [2.0, 1.0] and found["epoch"] == [1, 2]
    (root / "secret.csv").write_text("x")
    for name in ("m/2", "../m/1", "m", "", "m/1/../1"):
        assert get(served, f"curves?run={name}")[0] == 404
    assert get(served, "curves")[0] == 404 and get(served, "nothing")[0] == 404
    assert get(served, "report?run=m/1")[0] == 404
    (root / "m/1/report.html").write_text("<p>report</p>")
    assert get(served, "report?run=m/1")[2] == b"<p>report</p>"


def test_a_run_that_cannot_be_compared_is_said_to_be_so(served, root):
    add(root, 2)
    served.watch.since(0)
    found = json.loads(get(served, "compare?a=m/1&b=m/2")[2])
    assert "model.dl" in found["problem"]


def events(server, count):
    """The first messages of the stream."""
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", f"{parts.path}events")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    for _ in range(count):
        line = answer.readline()
        while not line.startswith(b"data: "):
            if not line:
                raise ConnectionError("the stream has ended")
            line = answer.readline()
        yield json.loads(line.removeprefix(b"data: "))
    connection.close()


def test_a_page_hears_of_changes(served, root):
    stream = events(served, 3)
    first = next(stream)
    assert [run["name"] for run in first["runs"]] == ["m/1"] and first["gone"] == []
    assert first["runs"][0]["figures"]["loss"] == 1.0 and first["runs"][0]["spark"] == [2.0, 1.0]
    with (root / "m/1/metrics.csv").open("a") as file:
        file.write("3,3,1.5,0.3,0.25\n")
    second = next(stream)
    assert [(run["name"], run["epochs"]) for run in second["runs"]] == [("m/1", 3)]
    shutil.rmtree(root / "m/1")
    third = next(stream)
    assert third == {"runs": [], "gone": ["m/1"]}


def test_a_stream_ends_with_the_board(served):
    stream = events(served, 2)
    next(stream)
    served.stopping.set()
    with pytest.raises(ConnectionError):
        next(stream)


def test_only_what_changed_is_told_again(root):
    for number in (1, 2, 3):
        add(root, number)
    watch = RunsWatch(root)
    version, runs, _ = watch.since(0)
    assert sorted(run["name"] for run in runs) == ["m/1", "m/2", "m/3"]
    assert watch.since(version) == (version, [], [])
    (root / "m/2/run.json").write_text(json.dumps({**RECORD, "status": "done"}))
    version, runs, _ = watch.since(version)
    assert [(run["name"], run["status"]) for run in runs] == [("m/2", "done")]


def test_runs_that_have_long_been_finished_are_looked_at_in_turn(root, monkeypatch):
    for number in range(1, 26):
        folder = add(root, number)
        for each in folder.iterdir():
            os.utime(each, (1e9, 1e9))
    watch = RunsWatch(root)
    version, runs, _ = watch.since(0)
    assert len(runs) == 25
    asked = []
    real = watching._stamp
    monkeypatch.setattr(watching, "_stamp", lambda path: asked.append(path) or real(path))
    for _ in range(watching.ROUND):
        before = len(asked)
        watch.since(version)
        assert 2 <= len(asked) - before <= 3
    assert len(set(asked)) == len(asked) == 25
    (root / "m/7/run.json").write_text(json.dumps({**RECORD, "status": "done"}))
    shutil.rmtree(root / "m/9")
    heard, gone = [], []
    for _ in range(watching.ROUND):
        version, runs, lost = watch.since(version)
        heard += [(run["name"], run["status"]) for run in runs]
        gone += lost
    assert heard == [("m/7", "done")] and gone == ["m/9"]


def test_many_runs_come_in_several_looks(root, monkeypatch):
    for number in range(1, 7):
        add(root, number)
    monkeypatch.setattr(watching, "BUDGET", -1.0)
    watch = RunsWatch(root)
    assert watch.since(0)[1] == []
    monkeypatch.setattr(watching, "BUDGET", 60.0)
    assert len(watch.since(0)[1]) == 6


def test_damaged_runs_and_numbers_that_json_lacks(root):
    (add(root, 1) / "run.json").write_text("{")
    folder = add(root, 2)
    (folder / "metrics.csv").write_text(f"{HEAD}1,1,0.5,nan,inf\n2,2,1,0.5,0.5\n3,3,1.5")
    watch = RunsWatch(root)
    _, runs, _ = watch.since(0)
    told = {run["name"]: run for run in runs}
    assert "damaged" in told["m/1"]["problem"]
    assert json.dumps(told, allow_nan=False)
