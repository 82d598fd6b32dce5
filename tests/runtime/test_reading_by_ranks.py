"""Each machine reads the rows of its own shards, and each process of a machine a part of them.

The processes are threads here that talk as those of MPI do (`rank_threads`).
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rank_threads import on_ranks

import specc
from specc.backend.run.ranks import Ranks
from specc.net.fitting import Callbacks
from specc.recipe import Column
from specc.runtime.data import load
from specc.runtime.data.handed import mapped, read_once
from specc.runtime.data.stream.store import Stored
from specc.runtime.errors import AllMissing
from specc.runtime.keeper import InMemory
from specc.runtime.order import permutation, permutation_by_shard
from specc.runtime.supply import chosen, ranges_of
from specc.runtime.train import train

MODELS = {
    "statistics and dropout": """
        input x: float[24] target y: class(5)
        let s = x -> dense(40) -> batchnorm -> relu -> dropout(0.2) -> dense(5)
        output s loss cross_entropy(s, y) metric accuracy(s, y)""",
    "peers": """
        input x: float[24] target y: class(5) let z = x -> dense(8) let s = peers(z) @ z
        let c = z -> dense(5) output c loss log(sum(exp(s))) - z @ z loss cross_entropy(c, y)""",
}
TRAIN = "optimizer adam(lr = 0.01) clip_norm = 1.0 epochs = 2 seed = 3"
ROWS, BATCH, SHARDS = 333, 70, 4
MACHINES = [(1, 1), (2,), (2, 1), (1,) * 5]


def program(name: str, more: str = ""):
    return specc.loads(f"model m {{ {MODELS[name]} }} train {{ {TRAIN} {more} }}")


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.normal(size=(ROWS, 24)).astype(np.float32),
        "y": rng.integers(0, 5, ROWS).astype(np.int32),
    }


def compiled(name: str, ranks: Ranks | None, more: str = ""):
    net = specc.compile(program(name, more), batch=BATCH, threads=1, seed=0, shards=SHARDS)
    if ranks is not None:
        net.programs.share(ranks)
    return net


def bits(net, **found) -> dict[str, bytes]:
    found |= dict(net.params) | dict(net.states)
    return {name: np.asarray(value).tobytes() for name, value in found.items()}


def is_own(net, training: bool) -> np.ndarray:
    """Whether this machine needs the examples of batches in the order of the rows: bool [ROWS]."""
    found = np.zeros(ROWS, bool)
    for start in range(0, ROWS, BATCH):
        count = min(BATCH, ROWS - start)
        size, own = net.divided(count, training)
        assert own.start % size == 0
        found[start:][own.start : min(own.stop, count)] = True
        found[start + count - 1] |= own.stop > count and len(own) > 0
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_machine_touches_no_row_of_another_one(name):
    """The rows of others are poison here: NaN, and a class that does not exist."""

    def run(ranks: Ranks | None) -> tuple[int, dict[str, bytes]]:
        net = compiled(name, ranks)
        found, counts = {}, []
        for training in (True, False):
            own, data = is_own(net, training), arrays()
            if ranks is not None:
                data["x"][~own], data["y"][~own] = np.nan, -7
            counts.append(int(own.sum()))
            columns = {each: Column(array) for each, array in data.items()}
            order = np.arange(ROWS)
            found[f"{training}"] = (
                net.train(columns, order, 0, 5, 10) if training else net.means_of(columns, order)
            )
        return counts, bits(net, **found)

    (alone, _), expected = run(None), run(None)[1]
    assert alone == [ROWS, ROWS]
    for machines in MACHINES:
        found = on_ranks(machines, run)
        assert all(each == expected for _, each in found)
        if max(machines) == 1:  # every rank is a machine
            counts = [each for (each, _), _ in found]
            repeated = sum(counts) - ROWS
            assert 0 <= repeated <= len(machines), "only the last row is read by several"
            assert max(counts) < ROWS * 0.6


def stored_bytes(monkeypatch) -> Counter:
    """Count the bytes that each thread of a rank reads of stored columns, by its `Stored`."""
    found: Counter = Counter()
    read, kept = Stored.read, []

    def counted(self, pieces, room=None, first=0):
        kept.append(self)  # so that no other one gets its identity
        pieces = list(pieces)
        found[id(self)] += sum(stop - start for start, stop in pieces) * self.row_bytes
        return read(self, pieces, room, first)

    monkeypatch.setattr(Stored, "read", counted)
    return found


@pytest.mark.parametrize("batch", ["70", "35 * 2"])
@pytest.mark.parametrize("name", MODELS)
def test_windows_are_read_by_the_machine_that_needs_them(name, batch, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    for each, array in arrays().items():
        np.save(tmp_path / f"{each}.npy", array)
    source = f'data npy("x.npy", "y.npy") validate split = 0.6 memory = 0.05 batch = {batch}'
    count = stored_bytes(monkeypatch)

    def run(ranks: Ranks | None) -> tuple[int, dict[str, bytes]]:
        own = program(name, source)
        net = specc.compile(own, threads=1, seed=0, shards=SHARDS)
        if ranks is not None:
            net.programs.share(ranks)
        data = load(own.recipe, own.ports, tmp_path)
        for part in data.parts.values():
            assert part.stored is not None
        keeper = InMemory(net)
        train(net, data, own.recipe, keeper, Callbacks(), together=ranks)
        records = [(*each.training.values(), *each.validation.values()) for each in keeper.epochs]
        return sum(count[id(part.stored)] for part in data.parts.values()), bits(net, r=records)

    alone, expected = run(None)
    for machines in MACHINES if batch == "70" else MACHINES[:2]:
        found = on_ranks(machines, run)
        assert all(each == expected for _, each in found), machines
        read = [each for each, _ in found]
        assert max(read) < 0.75 * alone and sum(read) < 1.2 * alone, (machines, read, alone)
        assert sum(read) >= 0.99 * alone


def test_the_order_of_shards_uses_every_row_once():
    for count, batch, size in [(1000, 70, 18), (69, 70, 18), (70, 70, 70), (140, 70, 1), (1, 3, 2)]:
        order = permutation_by_shard(1, 2, count, batch, lambda examples, size=size: size)
        assert sorted(order) == list(range(count))
        whole = count // batch
        first = order[: whole * batch].reshape(-1, batch)[:, :size]
        assert sorted(first.reshape(-1)) == list(range(first.size))
    order = permutation_by_shard(1, 2, 100, 100, lambda examples: 100)
    np.testing.assert_array_equal(order, permutation(1, 2, 100))


def test_chosen_rows_of_pieces_are_those_numbers():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cuts = np.sort(rng.choice(300, 8, replace=False))
        pieces = list(zip(cuts[::2].tolist(), cuts[1::2].tolist(), strict=True))
        rng.shuffle(pieces)
        rows = np.concatenate([np.arange(*each) for each in pieces])
        wanted = np.flatnonzero(rng.random(len(rows)) < rng.choice([0.1, 0.9]))
        found = chosen(pieces, ranges_of(wanted))
        got = np.concatenate([np.arange(0), *(np.arange(*each) for each in found)])
        np.testing.assert_array_equal(got, rows[wanted])


def test_one_process_of_a_machine_reads_and_the_others_get_the_same_arrays(tmp_path):
    values = arrays()
    np.save(tmp_path / "x.npy", values["x"])
    np.savetxt(tmp_path / "y.csv", values["y"], fmt="%d", header="y", comments="")
    for name, text in {
        "mapped": 'npy("x.npy")',
        "in memory": 'csv("y.csv")',
        "windows": 'npy("x.npy") memory = 1',
    }.items():
        port = "input y: float" if "csv" in text else "input x: float[24]"
        own = specc.loads(
            f"model m {{ {port} param w: float = 1 output w loss w ^ 2 }}"
            f" train {{ optimizer sgd(lr = 0.1) data {text} validate split = 0.8 }}"
        )
        readers = []

        def read(own=own, readers=readers):
            readers.append(threading.get_ident())
            return load(own.recipe, own.ports, tmp_path)

        expected = load(own.recipe, own.ports, tmp_path)
        found = on_ranks((3,), lambda ranks, read=read: read_once(ranks.neighbours, read))
        assert len(readers) == 1
        for data in found:
            assert data.counts == expected.counts
            for part, theirs in data.parts.items():
                assert theirs.rows == expected.parts[part].rows if name == "windows" else True
                np.testing.assert_array_equal(theirs.numbers, expected.parts[part].numbers)
                for port, column in theirs.columns.items():
                    want = expected.parts[part].columns[port]
                    np.testing.assert_array_equal(column.array, want.array)
                    assert (column.scale, column.shift) == (want.scale, want.shift)
                    assert (mapped(column.array) is None) == (name == "in memory")
            same = {id(each.columns) for each in data.parts.values()}
            assert len(same) == (2 if name == "windows" else 1)  # parts share their arrays
        if name == "in memory":
            first, *others = (each.training.columns["y"].array for each in found)
            assert all(np.shares_memory(first, each) for each in others)


@pytest.mark.parametrize("error", [AllMissing([], 7), ValueError("a word"), OSError(28, "full")])
def test_an_error_of_the_process_that_reads_is_one_of_all(error):
    def read():
        raise error

    def run(ranks: Ranks):
        with pytest.raises(type(error)) as found:
            read_once(ranks.neighbours, read)
        return found.value

    for each in on_ranks((3,), run):
        assert str(each) == str(error)
        assert getattr(each, "count", None) == getattr(error, "count", None)


def test_arrays_that_are_changed_copies_of_a_file_are_handed_in_memory(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0))
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[0] = 9
    assert mapped(changed) is None
    plain = np.load(tmp_path / "x.npy", mmap_mode="r")
    place = mapped(plain[2:5].reshape(3, 1))
    assert place is not None and place.offset == plain.offset + 16 and place.shape == (3, 1)
    assert mapped(plain[::2]) is None and mapped(np.arange(3)) is None
    (tmp_path / "x.npy").unlink()
    assert mapped(plain) is None


def test_only_the_first_rank_reads_to_learn_and_other_machines_need_the_same_data(
    tmp_path, monkeypatch
):
    """On two machines of two ranks each, two of four read the table; one looks at it and hashes."""
    from specc.runs.listener import AsWarnings
    from specc.runs.reading import in_turn
    from specc.runs.start import prepare
    from specc.runtime.data.request import Request
    from specc.source import Source

    rng = np.random.default_rng(0)
    lines = [f"{a:.4f},{b}" for a, b in zip(rng.normal(size=200), "ab" * 100, strict=True)]
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("\n".join(["height,kind", *lines]) + "\n")
    text = """dim k model m { input x: float target kind: class(k)
      param w: float[k] = 1 let s[i] = w[i] * x output s loss cross_entropy(s, kind) }
      train { data csv("t.csv") column x = standardize(height) validate split = 0.8
      optimizer sgd(lr = 0.1) batch = 16 }"""
    reads: Counter = Counter()
    read = Request.read

    def counted(self, path: Path, *rest):
        reads[threading.get_ident()] += self.limit is None
        return read(self, path, *rest)

    monkeypatch.setattr(Request, "read", counted)

    def run(ranks: Ranks, other: str = "one"):
        folder = tmp_path / ("one" if ranks.host == 0 else other)
        source = Source("m.dl", text)
        training = in_turn(
            ranks,
            lambda known: prepare(
                source, text.encode(), folder, {}, AsWarnings(), threads=1, known=known
            ),
        )
        data = training.data
        values = {
            f"{part} {name}": column.array[each.numbers].tobytes()
            for part, each in data.parts.items()
            for name, column in each.columns.items()
        }
        return values, data.statistics, data.vocabularies, reads[threading.get_ident()]

    found = on_ranks((2, 2), run)
    assert all(each[:3] == found[0][:3] for each in found)
    assert found[0][1] and found[0][2] == {"kind": ("a", "b")}
    counts = [each[3] for each in found]
    assert counts[0] >= counts[2] == 1 and counts[1] == counts[3] == 0
    lines[77] = "0.5,b"
    (tmp_path / "other" / "t.csv").write_text("\n".join(["height,kind", *lines]) + "\n")
    with pytest.raises(specc.SpecError, match="differ from those of rank 0"):
        on_ranks((1, 1), lambda ranks: run(ranks, "other"))
