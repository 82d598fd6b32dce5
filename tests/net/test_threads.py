"""A model that several threads use at once, and one that a server answers from."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import specc
from specc.source import Source

MODELS = Path(__file__).resolve().parents[2] / "models"
CALLERS = 8
TRAINED = """
model m {
  input x: float[6]
  target y: float
  let p = sum(x -> dense(5) -> batchnorm -> tanh -> dense(1))
  output p
  loss mse(p, y)
}
train { optimizer adam(lr = 0.01)  batch = 4 }
"""


def digits(threads: int = 1):
    return specc.compile(specc.load(MODELS / "digits.dl"), threads=threads, shards=threads, seed=0)


def side_by_side(work, count: int, callers: int = CALLERS) -> list:
    """What `work(0)`, `work(1)` .. return, called by threads that start together."""
    start = threading.Barrier(callers)

    def part(caller: int) -> list:
        start.wait()
        return [work(number) for number in range(caller, count, callers)]

    with ThreadPoolExecutor(callers) as pool:
        return [each for part in pool.map(part, range(callers)) for each in part]


def wrong_answers(net, calls: int, rows=(1, 2, 4, 7, 33, 2000), large_every: int = 100) -> int:
    """How many of `calls` predictions of 8 threads differ from those of one thread in any bit.

    The inputs differ from call to call, and so do their numbers of rows; the largest comes now and
    then.
    """
    random = np.random.default_rng(0)
    inputs = [random.random((size, 1, 8, 8), np.float32) for size in rows[:-1] for _ in range(4)]
    large = [random.random((rows[-1], 1, 8, 8), np.float32) for _ in range(2)]
    expected, expected_large = (
        [net.forward(image=x)["scores"].copy() for x in some] for some in (inputs, large)
    )

    def is_wrong(number: int) -> bool:
        some, wanted = (large, expected_large) if number % large_every == 0 else (inputs, expected)
        at = number // CALLERS % len(some) if some is inputs else number // large_every % 2
        return not np.array_equal(net.forward(image=some[at])["scores"], wanted[at])

    return sum(side_by_side(is_wrong, calls))


def test_predictions_of_several_threads_are_each_callers_own():
    assert wrong_answers(digits(), 1600) == 0


def test_predictions_of_threads_that_share_a_thread_pool_are_each_callers_own():
    net = digits(threads=2)
    assert wrong_answers(net, 400, rows=(1, 8, 64, 300)) == 0


@pytest.mark.long
def test_very_many_predictions_of_several_threads():
    calls = 28_000
    wrong = wrong_answers(digits(), calls)
    print(f"{wrong} of {calls} predictions wrong")
    assert wrong == 0


def test_tensor_parallelism_predicts_for_several_threads():
    """More threads than one share the work on one example here, or not.

    The faster way is chosen.
    """
    text = (
        "model m { input x: float[700] output y = x -> dense(700) -> relu -> dense(700) -> tanh }"
    )
    net = specc.compile(specc.load(Source("m.dl", text)), threads=2, shards=2, batch=1, seed=0)
    inputs = np.random.default_rng(0).standard_normal((8, 1, 700)).astype(np.float32)
    expected = [net.forward(x=x)["y"].copy() for x in inputs]
    found = side_by_side(lambda number: (number, net.forward(x=inputs[number % 8])["y"]), 600)
    for number, y in found:
        assert np.array_equal(y, expected[number % 8])


def served(net, requests: int) -> int:
    """How many of so many requests by 8 clients a server with a thread for each answers wrong."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            image = np.array(sent, np.float32).reshape(-1, 1, 8, 8)
            body = json.dumps(net.forward(image=image)["scores"].tolist()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    random = np.random.default_rng(1)
    inputs = [random.random((1 + number % 3, 1, 8, 8)).astype(np.float32) for number in range(12)]
    expected = [net.forward(image=x)["scores"].tolist() for x in inputs]
    local = threading.local()
    opened = []

    def is_wrong(number: int) -> bool:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(*server.server_address)
            with lock:
                opened.append(local.connection)
        at = number * 7 % len(inputs)
        local.connection.request("POST", "/", json.dumps(inputs[at].tolist()))
        return json.loads(local.connection.getresponse().read()) != expected[at]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        return sum(side_by_side(is_wrong, requests))
    finally:
        for each in opened:
            each.close()
        server.shutdown()
        serving.join()
        server.server_close()


def test_a_server_with_a_thread_for_each_client_gives_each_its_own_answer():
    assert served(digits(), 1000) == 0


def test_steps_predictions_and_assignments_exclude_each_other():
    """A prediction is that of the weights after some step or assignment, never of a mixture."""
    text = """
model m {
  input x: float[64]
  target t: float[64]
  let y = x -> dense(64)
  output y
  loss mse(y, t)
}
train { optimizer sgd(lr = 1e-30) }  # allow: unusual-rate
"""
    net = specc.compile(specc.load(Source("m.dl", text)), threads=1, batch=2, seed=0)
    x = np.ones((2, 64), np.float32)
    weights = {path: np.ones_like(array) for path, array in dict(net.params).items()}
    done = threading.Event()

    def assign(caller: int) -> None:
        for number in range(40):
            value = 1 + (number + caller) % 7
            if caller:
                net.set_params({path: value * array for path, array in weights.items()})
            else:
                net.params.update({path: value * array for path, array in weights.items()})

    def predict() -> set:
        found = set()
        while not done.is_set():
            found.update(np.unique(net.forward(x=x)["y"]).tolist())
        return found

    def train() -> None:
        while not done.is_set():
            net.step(x=x, t=x)  # too small a step to change a weight, but it writes them all

    net.set_params(weights)
    with ThreadPoolExecutor(7) as pool:
        readers = [pool.submit(predict) for _ in range(4)]
        trainer = pool.submit(train)
        for each in [pool.submit(assign, caller) for caller in range(2)]:
            each.result()
        done.set()
        trainer.result()
        found = set().union(*(each.result() for each in readers))
    assert found and found <= {65.0 * value for value in range(1, 8)}


def test_a_model_may_be_trained_while_it_predicts():
    """Steps by several threads are all done, one after the other, whatever else the model is asked
    for.
    """
    program = specc.load(Source("m.dl", TRAINED))
    random = np.random.default_rng(0)
    x, y = random.standard_normal((4, 6)).astype(np.float32), np.ones(4, np.float32)
    net, alone = (specc.compile(program, threads=1, seed=0) for _ in range(2))

    def use(number: int) -> None:
        kind = number // 4 % 3
        if kind == 0:
            net.step(x=x, y=y)
        elif kind == 1:
            assert np.isfinite(net.forward(x=x[: 1 + number % 3])["p"]).all()
        else:
            loss, gradients = net.loss_and_gradients(x=x, y=y)
            assert np.isfinite(loss) and all(np.isfinite(each).all() for each in gradients.values())

    side_by_side(use, 240, callers=4)
    for _ in range(80):
        alone.step(x=x, y=y)
    assert net.steps_done == 80
    for path, array in (*alone.params.items(), *alone.states.items()):
        live = net.params if path in net.params else net.states
        np.testing.assert_array_equal(live[path], array)


def test_gradients_of_several_threads_are_each_callers_own():
    net = specc.compile(specc.load(Source("m.dl", TRAINED)), threads=1, seed=0)
    random = np.random.default_rng(0)
    batches = [
        (
            random.standard_normal((1 + n % 5, 6)).astype(np.float32),
            random.standard_normal(1 + n % 5).astype(np.float32),
        )
        for n in range(8)
    ]
    expected = [net.loss_and_gradients(x=x, y=y) for x, y in batches]

    def is_wrong(number: int) -> bool:
        x, y = batches[number % 8]
        loss, gradients = net.loss_and_gradients(x=x, y=y)
        wanted_loss, wanted = expected[number % 8]
        return loss != wanted_loss or any(
            not np.array_equal(gradients[path], wanted[path]) for path in wanted
        )

    assert sum(side_by_side(is_wrong, 400)) == 0


def test_threads_that_need_the_same_program_compile_it_once():
    net = specc.compile(specc.load(Source("m.dl", TRAINED)), threads=1, seed=0)
    x = np.ones((5, 6), np.float32)
    found = side_by_side(lambda _: net.forward(x=x)["p"].tolist(), 8)
    assert all(each == found[0] for each in found)
    assert len([key for key in net.programs.compiled_ones if key[0] == "predict"]) == 1


def test_models_are_loaded_and_compiled_by_several_threads_at_once():
    def answer(number: int) -> bool:
        text = f"model m {{ input x: float[3] output y = tanh(x * {number % 4} + 1) }}"
        net = specc.compile(specc.load(Source("m.dl", text)), threads=1, seed=0)
        x = np.full((2, 3), 0.25, np.float32)
        return np.allclose(net.forward(x=x)["y"], np.tanh(x * (number % 4) + 1), atol=1e-6)

    assert all(side_by_side(answer, 8))


def test_idle_memory_is_bounded():
    net = digits()
    x = np.ones((1, 1, 8, 8), np.float32)
    side_by_side(lambda _: net.forward(image=x), 160)
    for program in net.programs.compiled_ones.values():
        pool = program.storages
        assert pool.made == len(pool.free) <= pool.kept <= pool.most
