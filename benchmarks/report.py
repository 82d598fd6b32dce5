"""The tables of a run, and a line for each goal: plain text from the figures that are stored."""

from __future__ import annotations

import math

NAMES = {
    "specc": "specc",
    "pytorch": "PyTorch",
    "pytorch_before": "PyTorch, hoisted",
    "inductor": "torch.compile",
    "xla": "JAX",
    "xla_scan": "JAX scan",
    "onnx": "ONNX Runtime",
}
BATCHES = ("1", "256")

# The goals. The first two are those of training: for each model, and in the mean; those with
# vectors of 256 bits are lower.
EACH, MEAN = (1.3, 1.0), (3.3, 2.5)
OF_PEAK = {"mlp128": 0.8, "mlp512": 0.92, "lenet": 0.86, "lstm": 0.82, "lstm2": 0.8}
INFERENCE = 1.5
COLD, WARM = {"lenet": 2.0, "resnet": 3.0}, {"lenet": 0.3, "resnet": 0.4}
SCALING, SCALING_FROM = 1.8, 1e-3


def progress(case, threads: int, kind: str, found: dict, seconds: float) -> str:
    """A line while the run goes on."""
    parts = []
    for name, each in found.items():
        of = each if kind == "training" else each.get("1", each)
        more = "" if kind == "training" or "256" not in each else f" / {_us(each['256'])}"
        parts.append(f"{NAMES[name]} {_us(of)}{more}")
    return f"{case.name}, {threads} threads, {kind}, us: {', '.join(parts)}   ({seconds:.0f} s)"


def tables(found: dict) -> str:
    """Everything, for all numbers of threads."""
    text = []
    machine = found["machine"]
    text.append(
        f"{machine['processor']}, {machine['processors']} processors, load"
        f" {machine['load'][0]:.1f}; " + ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    )
    if found.get("measured"):
        text.append("specc's tiles were timed before, as in the background of a long training")
    for name, reason in found["missing"].items():
        text.append(f"{NAMES[name]}: left out: {reason}")
    for name, reason in found["gaps"].items():
        text.append(f"{name}: left out, `specc check` says: {reason}")
    for threads, limits in found["limits"].items():
        results = [each for each in found["results"] if str(each["threads"]) == threads]
        text += [
            "",
            f"{threads} threads: at most {limits['gflops']:.0f} GF/s measured,"
            f" memory {limits['memory_gbytes']:.0f} GB/s",
        ]
        if trained := [each for each in results if "training" in each]:
            text += [
                "",
                "A training step, microseconds (quartiles); `~`: the least, or for one thread"
                " the processor's time, as the machine was not quiet (and the median)",
                *_training(trained, limits),
            ]
            text += [
                "",
                "Seconds to the first step, imports included, cold and warm; MB at most",
                *_first(trained),
            ]
        if inferred := [each for each in results if "inference" in each]:
            text += ["", "Inference, microseconds a batch, batch 1 and 256", *_inference(inferred)]
    failures = [
        f"{each['model']}, {each['threads']} threads, {kind}: {NAMES[name]} left out:"
        f" {of['failed']}"
        for each in found["results"]
        for kind in ("training", "inference")
        for name, of in each.get(kind, {}).items()
        if "failed" in of
    ]
    text += ["", *failures] if failures else []
    text += ["", "Goals", *goals(found)]
    return "\n".join(text)


def best_peer(found: dict) -> tuple[str, float] | None:
    """The fastest that is not specc, and its seconds."""
    others = [
        (each["seconds"], name)
        for name, each in found.items()
        if name != "specc" and "seconds" in each
    ]
    return (min(others)[1], min(others)[0]) if others else None


def ratio(found: dict) -> float | None:
    """How many times faster than the best peer."""
    best = best_peer(found)
    return (
        best[1] / found["specc"]["seconds"]
        if best and "seconds" in found.get("specc", {})
        else None
    )


def of_peak(result: dict, limits: dict) -> float | None:
    own = result.get("training", {}).get("specc", {})
    if "seconds" not in own:
        return None
    return result["training_flops"] / own["seconds"] / (limits["gflops"] * 1e9)


def _training(results, limits) -> list[str]:
    peers = _peers(results, "training")
    rows = [["model", "batch", *(NAMES[peer] for peer in peers), "ratio", "GF/s", "of peak"]]
    for result in results:
        found = result["training"]
        times, share = ratio(found), of_peak(result, limits)
        rows.append(
            [
                result["model"],
                str(result["batch"]),
                *(_spread(found.get(peer, {})) for peer in peers),
                f"{times:.2f}" if times else "",
                f"{share * limits['gflops']:.0f}" if share else "",
                f"{share:.0%}" if share else "",
            ]
        )
    return _aligned(rows)


def _first(results) -> list[str]:
    peers = _peers(results, "training")
    rows = [["model", *(NAMES[peer] for peer in peers)]]
    for result in results:
        cells = []
        for peer in peers:
            each = result["training"].get(peer, {})
            if "cold_seconds" not in each:
                cells.append("-")
                continue
            warm = f" / {each['warm_seconds']:.2f}" if "warm_seconds" in each else ""
            memory = f"  {each['peak_bytes'] / 1e6:.0f} MB" if "peak_bytes" in each else ""
            cells.append(f"{each['cold_seconds']:.1f}{warm}{memory}")
        rows.append([result["model"], *cells])
    return _aligned(rows)


def _inference(results) -> list[str]:
    peers = _peers(results, "inference")
    rows = [["model", *(NAMES[peer] for peer in peers), "ratio 1", "ratio 256"]]
    for result in results:
        found = result["inference"]
        cells = [
            " / ".join(_us(found[peer].get(batch, found[peer])) for batch in BATCHES)
            if peer in found
            else "-"
            for peer in peers
        ]
        rows.append([result["model"], *cells, *(f"{r:.2f}" if r else "" for r in _ratios(found))])
    return _aligned(rows)


def _ratios(found: dict) -> list[float | None]:
    """Of inference, for each batch size."""
    return [
        ratio({name: each[batch] for name, each in found.items() if batch in each})
        for batch in BATCHES
    ]


def goals(found: dict) -> list[str]:
    """A line each: `yes` or `no`, and what is below."""
    lines = []
    narrow = found["machine"].get("vector_bits") == 256
    least, in_the_mean = EACH[narrow], MEAN[narrow]
    for threads, limits in found["limits"].items():
        results = [each for each in found["results"] if str(each["threads"]) == threads]
        ratios = {each["model"]: r for each in results if (r := ratio(each.get("training", {})))}
        if ratios:
            low = [f"{name} {r:.2f}" for name, r in ratios.items() if r < least]
            lines.append(
                _goal(
                    not low,
                    f"{threads} threads: a training step at least {least} times as"
                    " fast as the best peer's",
                    low,
                )
            )
            mean = _mean(ratios.values())
            lines.append(
                _goal(
                    mean >= in_the_mean,
                    f"{threads} threads: {in_the_mean} times in the geometric mean",
                    [f"{mean:.2f}"],
                )
            )
        shares = {
            each["model"]: share
            for each in results
            if each["model"] in OF_PEAK and (share := of_peak(each, limits))
        }
        for name, share in shares.items():
            most = OF_PEAK[name]
            text = f"{threads} threads: {name} at {most:.0%} of the peak"
            lines.append(_goal(share >= most, text, [f"{share:.0%}"]))
        for i, batch in enumerate(BATCHES):
            ratios = {
                each["model"]: r
                for each in results
                if "inference" in each and (r := _ratios(each["inference"])[i])
            }
            if ratios:
                low = [f"{name} {r:.2f}" for name, r in ratios.items() if r < 1]
                mean = _mean(ratios.values())
                lines.append(
                    _goal(
                        not low,
                        f"{threads} threads: inference of batch {batch} no slower than the best"
                        " peer's",
                        low,
                    )
                )
                lines.append(
                    _goal(
                        mean >= INFERENCE,
                        f"{threads} threads: inference of batch {batch} {INFERENCE} times in the"
                        " geometric mean",
                        [f"{mean:.2f}"],
                    )
                )
        lines += _first_goals(threads, results)
    lines += _scaling(found)
    return lines


def _first_goals(threads: str, results) -> list[str]:
    lines = []
    own = {
        each["model"]: each["training"]["specc"]
        for each in results
        if "cold_seconds" in each.get("training", {}).get("specc", {})
    }
    for name, most in COLD.items():
        if "cold_seconds" in own.get(name, {}):
            seconds = own[name]["cold_seconds"]
            lines.append(
                _goal(
                    seconds <= most,
                    f"{threads} threads: first step of {name} cold within {most:.0f} s",
                    [f"{seconds:.1f} s"],
                )
            )
    for name, most in WARM.items():
        if "warm_seconds" in own.get(name, {}):
            seconds = own[name]["warm_seconds"]
            text = f"{threads} threads: first step of {name} warm within {most} s"
            lines.append(_goal(seconds <= most, text, [f"{seconds:.2f} s"]))
    pairs = [
        (
            each["model"],
            *(each["training"].get(peer, {}).get("peak_bytes") for peer in ("specc", "pytorch")),
        )
        for each in results
        if "training" in each
    ]
    pairs = [each for each in pairs if each[1] and each[2]]
    if pairs:
        more = [f"{name} {a / 1e6:.0f} MB against {b / 1e6:.0f}" for name, a, b in pairs if a > b]
        lines.append(_goal(not more, f"{threads} threads: peak memory under PyTorch's", more))
    return lines


def _scaling(found: dict) -> list[str]:
    seconds = {
        (each["model"], each["threads"]): each["training"]["specc"]["seconds"]
        for each in found["results"]
        if "seconds" in each.get("training", {}).get("specc", {})
    }
    pairs = {
        name: seconds[name, 1] / seconds[name, 2]
        for name, threads in seconds
        if threads == 2 and seconds.get((name, 1), 0) >= SCALING_FROM
    }
    if not pairs:
        return []
    low = [f"{name} {r:.2f}" for name, r in pairs.items() if r < SCALING]
    return [_goal(not low, f"two threads at least {SCALING} times one, from 1 ms a step", low)]


def _goal(reached: bool, text: str, below: list[str]) -> str:
    return f"{'yes' if reached else 'NO ':3}  {text}" + (f": {', '.join(below)}" if below else "")


def _mean(values) -> float:
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values))


def _peers(results, kind: str) -> list[str]:
    return [name for name in NAMES if any(name in each[kind] for each in results if kind in each)]


def _us(each: dict) -> str:
    if "failed" in each:
        return "failed"
    if "seconds" not in each:
        return "-"
    return ("" if each["is_quiet"] else "~") + f"{each['seconds'] * 1e6:,.1f}"


def _spread(each: dict) -> str:
    if "seconds" not in each:
        return "failed" if "failed" in each else "-"
    if not each["is_quiet"]:
        return f"{_us(each)} ({each['median'] * 1e6:,.0f})"
    return f"{_us(each)} ({each['low'] * 1e6:,.0f}..{each['high'] * 1e6:,.0f})"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in rows]  # fmt: skip
