"""This machine's profile, measured with small loops of machine code: the best of several tries.

    profile = measured()             # takes a few tenths of a second

The loops are LLVM text and need only llvmlite. Loads and stores are volatile, so that LLVM keeps
all of them. A loop returns the number of iterations that it did not finish because it waited too
long for another thread.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from statistics import median

from specc.backend.machine.processor import Machine, this_machine
from specc.backend.machine.profile import APART, WIDTHS, Profile, Steps, instructions, rounded
from specc.backend.machine.system import cache_sizes, processor_name, processors
from specc.system.locks import NATIVE

# The thread's processor time if the system measures it finely, because other programs do not add to
# it.
_clock = (
    time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter
)
_TRIES = 7
_MORE_TRIES = 40  # of reading a cache, which takes 0.1 ms, and suffers from what other cores read
_SECONDS = 2e-4  # intended duration of a try of a loop: short, because other programs disturb some
_LONGEST = 0.15  # most seconds for all tries of a loop of two threads
_ITERATIONS = 200  # of a loop of two threads
_SPINS = 4_000_000  # spins until a thread gives up waiting for another: a few milliseconds
_CHAIN = 64  # dependent additions per iteration of the loop that measures the clock's rate
_UNROLLED = 16  # loads or stores per iteration
_MOST_MEMORY = 256 << 20  # bytes
# Cycles to load another core's line, and of a barrier of two threads. On Zen 3 they are 180 and 400
# if the cores share an L3 cache, else 800 and 2,000.
_USUAL_LINE, _USUAL_BARRIER = 384, 1024


def measured() -> Profile:
    """Return the profile of this machine, with its widest vectors."""
    machine = this_machine(WIDTHS[-1])
    widths = [bits for bits in WIDTHS if bits <= machine.vector_bits]
    loops, caches, chains = _Loops(machine, widths), cache_sizes(), _chains(machine)
    instructions_of = {"additions": _CHAIN, "latency": 1}
    for bits in widths:
        instructions_of |= {f"products{bits}": chains}
        instructions_of |= {f"{name}{bits}": _UNROLLED for name in ("loads", "stores")}
    if machine.multiplies_bfloat16:
        instructions_of |= {"bfloat16": chains}
    rates = dict.fromkeys(instructions_of, 0.0)

    def run_loops() -> None:
        """Run each loop of the core, and note its best rate: time passes between the calls."""
        for name, number in instructions_of.items():
            rates[name] = max(rates[name], loops.rate(name, number))

    run_loops()
    bytes_per_second = loops.bandwidths(caches)
    run_loops()
    strided = loops.slowness_of_strided_reads(caches[1])
    run_loops()
    line = barrier = 0.0
    if processors() > 1:
        line, barrier = (loops.seconds_of_two_threads(name) for name in ("line", "barrier"))
    run_loops()
    clock = rates["additions"]  # one addition per cycle

    # in an iteration, a line moves to the other core and back
    cycles_of_line = _cycles_of_two_cores(line * clock / 2, _USUAL_LINE)
    cycles_of_barrier = _cycles_of_two_cores(barrier * clock, _USUAL_BARRIER)

    def by_width(name: str) -> Steps:
        found = {bits: instructions(rates[f"{name}{bits}"] / clock) for bits in widths}
        # narrower vectors are not slower; if they seem so, another program disturbed the loop
        return tuple((bits, max(found[each] for each in widths if each >= bits)) for bits in widths)

    loads = by_width("loads")
    return Profile(
        processor=processor_name() or machine.cpu,
        architecture=machine.architecture,
        vector_bits=machine.vector_bits,
        registers=machine.registers,
        cores=processors(),
        gigahertz=round(2 * clock / 1e9) / 2,
        products_by_width=by_width("products"),
        loads_by_width=loads,
        stores_by_width=by_width("stores"),
        latency=max(1, round(clock / rates["latency"])),
        caches=caches,
        rates=_bytes_per_cycle(loads[-1], [each / clock for each in bytes_per_second]),
        strided=strided,
        line=cycles_of_line,
        # two lines move to the other core and back; a higher value is due to other programs
        barrier=min(cycles_of_barrier, cycles_of_line * _USUAL_BARRIER // _USUAL_LINE),
        bfloat16_products=instructions(rates["bfloat16"] / clock) if "bfloat16" in rates else 0.0,
    )


def _cycles_of_two_cores(measured: float, usual: int) -> int:
    """Return the cycles of what two cores do together, or the `usual` ones if they never did.

    They are rounded to one value for cores that share an L3 cache and for those that do not: on
    virtual machines that may change by the minute.
    """
    return int(rounded(measured or usual, usual, 16))


def _bytes_per_cycle(
    loads: tuple[int, float], measured: list[float]
) -> tuple[float, float, float, float]:
    """Return the bytes per cycle from each cache and from memory, rounded.

    The L1 cache gives what is loaded per cycle. The L3 cache and memory, which other cores use,
    too, are rounded to powers of four.
    """
    bits, number = loads
    l2, l3, memory = rounded(measured[0]), rounded(measured[1], 16, 4), rounded(measured[2], 4, 4)
    # a cache is not slower than the next one
    l3 = max(l3, memory)
    l2 = max(l2, l3)
    return max(number * bits / 8, l2), l2, l3, memory


class _Loops:
    """The loops in machine code, by name."""

    def __init__(self, machine: Machine, widths: list[int]):
        import llvmlite.binding as llvm

        self._widest = widths[-1]
        with NATIVE:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            target = llvm.Target.from_triple(llvm.get_process_triple())
            module = llvm.parse_assembly(_text(machine, widths))
            self._engine = llvm.create_mcjit_compiler(
                module,
                target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=2),
            )
            self._engine.finalize_object()
        # most loops read and write these 4 KB, which stay in the L1 cache
        self._buffer = ctypes.create_string_buffer(4096 + 64)
        self._address = -(-ctypes.addressof(self._buffer) // 64) * 64

    def _function(self, name: str) -> Callable[[int, int, int], int]:
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)
        return kind(self._engine.get_function_address(name))

    def _seconds(
        self, name: str, iterations: int, address: int, tries: int = _TRIES, mask: int = 0
    ) -> float:
        """Return the shortest time of a number of iterations."""
        function = self._function(name)
        found = []
        for _ in range(tries):
            start = _clock()
            function(iterations, address, mask)
            found.append(_clock() - start)
        return min(found)

    def rate(self, name: str, instructions_each: int) -> float:
        """Return the instructions per second of a loop with `instructions_each` per iteration."""
        iterations = 1000
        once = self._seconds(name, iterations, self._address, 2)
        iterations = max(iterations, int(iterations * _SECONDS / once))
        return iterations * instructions_each / self._seconds(name, iterations, self._address)

    def bandwidths(self, caches: tuple[int, int, int]) -> list[float]:
        """Return the bytes per second of sequential reads from L2, from L3, and from memory."""
        _, l2, l3 = caches
        line = _UNROLLED * self._widest // 8
        memory = min(2 * l3, _MOST_MEMORY)
        store = ctypes.create_string_buffer(memory + 64)
        address = -(-ctypes.addressof(store) // 64) * 64
        ctypes.memset(address, 1, memory)
        found = []
        for size in (l2 // 2, max(l3 // 4, min(2 * l2, l3)), memory):
            size = 1 << (size.bit_length() - 1)  # a power of two: the loop wraps by a mask
            iterations = max(size, 1 << 23) // line
            tries = _MORE_TRIES if size < memory // 2 else 2
            seconds = self._seconds(f"reading{self._widest}", iterations, address, tries, size - 1)
            found.append(iterations * line / seconds)
        return found

    def slowness_of_strided_reads(self, l2: int) -> float:
        """Return how many times as long it takes to read lines of the L2 cache that are apart.

        Both loops take turns, and the median counts, because other programs disturb both.
        """
        size = 1 << ((l2 // 4).bit_length() - 1)
        store = ctypes.create_string_buffer(size + _UNROLLED * APART + 64)
        address = -(-ctypes.addressof(store) // 64) * 64
        ctypes.memset(address, 1, size + _UNROLLED * APART)
        read = (1 << 20) // _UNROLLED  # bytes by each load of the loops

        def ratio() -> float:
            apart = self._seconds("strided", read // 64, address, 1, size - 1)
            loop, line = f"reading{self._widest}", self._widest // 8
            return apart / self._seconds(loop, read // line, address, 1, size - 1)

        return max(1.0, rounded(median(ratio() for _ in range(_MORE_TRIES))))

    def seconds_of_two_threads(self, name: str) -> float:
        """Return the shortest time of an iteration of two threads that wait for each other.

        It is 0 if the two never ran at the same time.
        """
        function, found = self._function(name), []
        until = time.perf_counter() + _LONGEST
        for _ in range(2 * _TRIES):
            if time.perf_counter() > until:  # other programs have the processors
                break
            ctypes.memset(self._address, 0, 1024)
            ends = [0.0, 0.0]
            left = [0, 0]

            def run(number: int, ends: list[float] = ends, left: list[int] = left) -> None:
                left[number] = function(_ITERATIONS, self._address + number, 0)
                ends[number] = time.perf_counter()

            other = threading.Thread(target=run, args=(1,))
            other.start()
            start = time.perf_counter()
            run(0)
            other.join()
            if not any(left):
                found.append((ends[0] - start) / _ITERATIONS)
        return min(found, default=0.0)


def _chains(machine: Machine) -> int:
    """Return the number of independent multiply-adds that keep all units busy.

    Four per cycle with a latency of four cycles need sixteen.
    """
    return 16 if machine.registers == 32 else 12


def _text(machine: Machine, widths: list[int]) -> str:
    """Return the loops as LLVM text: i64 name(i64 iterations, i64 address, i64 mask).

    `mask` wraps the address of a reading loop, so that it starts again.
    """
    additions = [f"  %x{n + 1} = {('add', 'xor')[n % 2]} i64 %x{n}, %y" for n in range(_CHAIN)]
    functions = [
        _loop(
            "additions", ["i64 0"], [f"%x{_CHAIN}"], additions, "  %y = or i64 %iterations, 1", "x"
        ),
        _products("latency", machine.vector_bits, 1),
    ]
    for bits in widths:
        vector = f"<{bits // 32} x float>"
        loads, stores, reads = [], [], []
        for n in range(_UNROLLED):
            offset = n * bits // 8 % 2048
            place = f"  %p{n} = getelementptr i8, ptr %base, i64 {offset}"
            loads += [place, f"  %v{n} = load volatile {vector}, ptr %p{n}, align 64"]
            stores += [place, f"  store volatile {vector} zeroinitializer, ptr %p{n}, align 64"]
            far = f"  %p{n} = getelementptr i8, ptr %now, i64 {n * bits // 8}"
            reads += [far, f"  %v{n} = load volatile {vector}, ptr %p{n}, align 16"]
        step = f"  %far = mul i64 %i, {_UNROLLED * bits // 8}\n  %at = and i64 %far, %mask"
        now = "  %now = getelementptr i8, ptr %base, i64 %at"
        base = "  %base = inttoptr i64 %address to ptr"
        functions += [
            _products(f"products{bits}", bits, _chains(machine)),
            _loop(f"loads{bits}", [], [], loads, base),
            _loop(f"stores{bits}", [], [], stores, base),
            _loop(f"reading{bits}", [], [], [step, now, *reads], base),
        ]
    lines = []
    for n in range(_UNROLLED):
        lines += [f"  %p{n} = getelementptr i8, ptr %now, i64 {n * APART}"]
        lines += [f"  %v{n} = load volatile {vector}, ptr %p{n}, align 16"]
    step = f"  %far = mul i64 %i, {_UNROLLED * APART}\n  %at = and i64 %far, %mask"
    functions.append(_loop("strided", [], [], [step, now, *lines], base))
    if machine.multiplies_bfloat16:
        functions.append(_products("bfloat16", 512, _chains(machine), _BFLOAT16))
    return "\n".join([*functions, _LINE, _BARRIER])


# The instruction adds the products of two pairs of bfloat16 numbers to each accumulator.
_BFLOAT16 = (
    "call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> {sum},"
    " <32 x bfloat> %halves, <32 x bfloat> %halves)"
)


def _products(name: str, bits: int, chains: int, form: str = "") -> str:
    """Return a loop of dependent chains of multiply-adds; `form` is another instruction."""
    vector = f"<{bits // 32} x float>"
    before = [
        "  %place = inttoptr i64 %address to ptr",
        f"  %factor = load volatile {vector}, ptr %place, align 4",
    ]
    own = (
        f"call {vector} @llvm.fmuladd.v{bits // 32}f32({vector} {{sum}},"
        f" {vector} %factor, {vector} %factor)"
    )
    body = [f"  %a{n}next = " + (form or own).format(sum=f"%a{n}") for n in range(chains)]
    starts = [f"{vector} splat (float {float(n)})" for n in range(chains)]
    after = [f"  store volatile {vector} %a{n}next, ptr %place, align 4" for n in range(chains)]
    declared = f"declare {vector} @llvm.fmuladd.v{bits // 32}f32({vector}, {vector}, {vector})\n"
    if form:
        halves = "<32 x bfloat>"
        before.append(f"  %halves = bitcast {vector} %factor to {halves}")
        declared = (
            f"declare {vector} @llvm.x86.avx512bf16.dpbf16ps.512({vector}, {halves}, {halves})\n"
        )
    text = _loop(
        name, starts, [f"%a{n}next" for n in range(chains)], body, "\n".join(before), "a", after
    )
    return text + (declared if name != "latency" else "")


def _loop(
    name: str,
    starts: list[str],
    ends: list[str],
    body: list[str],
    before: str,
    carried: str = "",
    after: list[str] | None = None,
) -> str:
    """Return the text of a loop that carries values named `carried`0, `carried`1, ...."""
    phis = []
    for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
        kind, _, value = start.partition(" ")
        if start.startswith("<"):
            kind, _, value = start.partition("> ")
            kind += ">"
        phis.append(f"  %{carried}{n} = phi {kind} [ {value}, %entry ], [ {end}, %loop ]")
    kept = ends[0] if carried == "x" else "0"
    lines = [
        f"define i64 @{name}(i64 %iterations, i64 %address, i64 %mask) {{",
        "entry:",
        before,
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *phis,
        *body,
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %iterations",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *(after or []),
        f"  ret i64 {kept}",
        "}",
        "",
    ]
    return "\n".join(lines)


# Two threads take turns to write a word: thread t waits until it is 2 * iteration + t, then adds 1.
# The address is that of the word plus the thread's number. The result is the number of iterations
# that were not done.
_LINE = f"""
define i64 @line(i64 %iterations, i64 %address, i64 %mask) {{
entry:
  %thread = and i64 %address, 63
  %base = sub i64 %address, %thread
  %word = inttoptr i64 %base to ptr
  br label %round
round:
  %i = phi i64 [ 0, %entry ], [ %next, %handed ]
  %twice = shl i64 %i, 1
  %wanted = add i64 %twice, %thread
  br label %wait
wait:
  %spins = phi i64 [ 0, %round ], [ %more, %again ]
  %found = load atomic i64, ptr %word acquire, align 8
  %mine = icmp eq i64 %found, %wanted
  br i1 %mine, label %handed, label %again
again:
  %more = add i64 %spins, 1
  %late = icmp sgt i64 %more, {_SPINS}
  br i1 %late, label %failed, label %wait
handed:
  %value = add i64 %found, 1
  store atomic i64 %value, ptr %word release, align 8
  %next = add i64 %i, 1
  %on = icmp slt i64 %next, %iterations
  br i1 %on, label %round, label %finished
failed:
  %left = sub i64 %iterations, %i
  ret i64 %left
finished:
  ret i64 0
}}
"""

# Two threads add 1 to a word; the second one sets another word, for which the first one waits.
_BARRIER = f"""
define i64 @barrier(i64 %iterations, i64 %address, i64 %mask) {{
entry:
  %base = and i64 %address, -64
  %arrived = inttoptr i64 %base to ptr
  %next_line = add i64 %base, 128
  %generation = inttoptr i64 %next_line to ptr
  br label %round
round:
  %i = phi i64 [ 0, %entry ], [ %next, %done ]
  %next = add i64 %i, 1
  %before = atomicrmw add ptr %arrived, i64 1 acq_rel, align 8
  %odd = and i64 %before, 1
  %last = icmp eq i64 %odd, 1
  br i1 %last, label %release, label %wait
release:
  store atomic i64 %next, ptr %generation release, align 8
  br label %done
wait:
  %spins = phi i64 [ 0, %round ], [ %more, %again ]
  %found = load atomic i64, ptr %generation acquire, align 8
  %there = icmp sge i64 %found, %next
  br i1 %there, label %done, label %again
again:
  %more = add i64 %spins, 1
  %late = icmp sgt i64 %more, {_SPINS}
  br i1 %late, label %failed, label %wait
done:
  %on = icmp slt i64 %next, %iterations
  br i1 %on, label %round, label %finished
failed:
  %left = sub i64 %iterations, %i
  ret i64 %left
finished:
  ret i64 0
}}
"""
