"""Functions for kernels beyond Python: words at addresses, calls, atomics, hashes.

    poke(place, peek(place) + 1)                       # int64 at an address
    call(function, args, control)                      # another kernel

Atomic reads acquire, atomic writes release; exchanges are sequentially consistent.
"""

from __future__ import annotations

import sys

import llvmlite.binding as llvm
from llvmlite import ir

from specc.backend.llvm.intrinsics import declared, intrinsic, stack, types

I32, I64 = ir.IntType(32), ir.IntType(64)
_ARCHITECTURE = llvm.get_process_triple().split("-")[0]


@intrinsic
def peek(typing, address):
    """Return the int64 at `address`."""

    def codegen(context, b, signature, args):
        return b.load(b.inttoptr(args[0], I64.as_pointer()))

    return types.int64(types.int64), codegen


@intrinsic
def poke(typing, address, value):
    """Write the int64 `value` at `address`."""

    def codegen(context, b, signature, args):
        b.store(args[1], b.inttoptr(args[0], I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def word(typing, table, index):
    """Return the int64 at `index` of the table at the address `table`."""

    def codegen(context, b, signature, args):
        return b.load(b.gep(b.inttoptr(args[0], I64.as_pointer()), [args[1]]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def prefetch(typing, address):
    """Prefetch the cache line at the address."""

    def codegen(context, b, signature, args):
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        fetch = declared(b.module, kind, "llvm.prefetch.p0")
        b.call(fetch, [b.inttoptr(args[0], byte), I32(0), I32(3), I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def call(typing, function, args, control):
    """Call the kernel at the address `function` with the addresses of its blocks."""
    kind = ir.FunctionType(ir.VoidType(), [I64, I64])

    def codegen(context, b, signature, args):
        b.call(b.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def atomic_peek(typing, address):
    def codegen(context, b, signature, args):
        return b.load_atomic(b.inttoptr(args[0], I64.as_pointer()), "acquire", 8, typ=I64)

    return types.int64(types.int64), codegen


@intrinsic
def atomic_poke(typing, address, value):
    def codegen(context, b, signature, args):
        b.store_atomic(args[1], b.inttoptr(args[0], I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_add(typing, address, value):
    """Add to the int64 at `address`; return the value before."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("add", b.inttoptr(args[0], I64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def replace(typing, address, old, new):
    """Write `new` at `address` if it holds `old`; return whether it did."""

    def codegen(context, b, signature, args):
        pointer = b.inttoptr(args[0], I64.as_pointer())
        return b.extract_value(b.cmpxchg(pointer, args[1], args[2], "seq_cst", "seq_cst"), 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typing):
    """Pause for a few dozen cycles within a waiting loop."""

    def codegen(context, b, signature, args):
        if _ARCHITECTURE in ("x86_64", "i686", "i386"):
            _call_void(b, "llvm.x86.sse2.pause", [])
        elif _ARCHITECTURE in ("aarch64", "arm64"):
            _call_void(b, "llvm.aarch64.hint", [I32(1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def doze(typing):
    """Sleep for the shortest time that the system supports (about 0.1 ms)."""

    def codegen(context, b, signature, args):
        _doze(b)
        return context.get_dummy_value()

    return types.void(), codegen


# Sleeping until woken: Linux's futex, by the number of the system call. Elsewhere threads doze.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(_ARCHITECTURE)
# FUTEX_WAIT and FUTEX_WAKE, also between processes, which may have memory in common
_SLEEP, _WAKE = 0, 1
# This follows from the platform alone: LLVM does not find the system's functions while it starts,
# and kernels from different processes must agree.
CAN_SLEEP = sys.platform == "linux" and _FUTEX is not None


@intrinsic
def sleep_while(typing, address, value):
    """Sleep until `wake(address)`, unless the address holds another value than `value`.

    It may end early, so the caller looks again. Without such a sleep in the system it is a `doze`.
    """

    def codegen(context, b, signature, args):
        if CAN_SLEEP:  # compares 32 bits: the lower ones, as all of these processors order them
            _futex(b, args[0], _SLEEP, b.and_(args[1], ir.Constant(I64, 0xFFFFFFFF)))
        else:
            _doze(b)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def wake(typing, address):
    """Wake all threads that sleep at the address."""

    def codegen(context, b, signature, args):
        if CAN_SLEEP:
            _futex(b, args[0], _WAKE, ir.Constant(I64, 0x7FFFFFFF))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _futex(b, address, operation: int, value) -> None:
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    syscall = declared(b.module, kind, "syscall")
    zero = ir.Constant(I64, 0)
    b.call(
        syscall,
        [ir.Constant(I64, _FUTEX), address, ir.Constant(I64, operation), value, zero, zero, zero],
    )


def _doze(b) -> None:
    for name, duration in (("usleep", 20), ("Sleep", 1)):
        if llvm.address_of_symbol(name):
            kind = ir.FunctionType(I32, [I32])
            b.call(declared(b.module, kind, name), [I32(duration)])
            break


def _call_void(b, name, args):
    kind = ir.FunctionType(ir.VoidType(), [each.type for each in args])
    b.call(declared(b.module, kind, name), args)


@intrinsic
def mix32(typing, x):
    """Return a hash of 32 bits: multiply and xorshift with Wellons' constants, 2018 (lowbias32).

    In operations of 32 bits: products of kernels have 64, for which few machines have
    vectors."""

    def codegen(context, b, signature, args):
        (x,) = args
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = b.mul(b.xor(x, b.lshr(x, ir.Constant(I32, shift))), ir.Constant(I32, factor))
        return b.xor(x, b.lshr(x, ir.Constant(I32, 16)))

    return types.uint32(types.uint32), codegen


@intrinsic
def ticks(typing):
    """Return the processor's clock in ticks of a constant rate; reading takes tens of cycles."""

    def codegen(context, b, signature, args):
        if _ARCHITECTURE in ("aarch64", "arm64"):
            read = ir.InlineAsm(ir.FunctionType(I64, []), "mrs $0, cntvct_el0", "=r", True)
            return b.call(read, [])
        kind = ir.FunctionType(I64, [])
        return b.call(declared(b.module, kind, "llvm.readcyclecounter"), [])

    return types.int64(), codegen


_FLUSH = 0x8040  # MXCSR: results and operands too small for a normal number count as 0


@intrinsic
def flush_tiny(typing):
    """Flush denormal numbers to zero in this thread; return the previous mode for `keep_tiny`.

    Denormals are about 100 times slower, and decaying averages of values that became 0 are full of
    them. On processors other than x86 nothing changes.
    """

    def codegen(context, b, signature, args):
        if not _ARCHITECTURE.startswith("x86"):
            return I64(0)
        place = stack(b, I32)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        byte = b.bitcast(place, ir.IntType(8).as_pointer())
        store, load = (
            declared(b.module, kind, f"llvm.x86.sse.{each}mxcsr") for each in ("st", "ld")
        )
        b.call(store, [byte])
        before = b.load(place)
        b.store(b.or_(before, I32(_FLUSH)), place)
        b.call(load, [byte])
        return b.zext(before, I64)

    return types.int64(), codegen


@intrinsic
def keep_tiny(typing, before):
    """Undo `flush_tiny`, given the mode that it returned."""

    def codegen(context, b, signature, args):
        if _ARCHITECTURE.startswith("x86"):
            place = stack(b, I32)
            b.store(b.trunc(args[0], I32), place)
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            load = declared(b.module, kind, "llvm.x86.sse.ldmxcsr")
            b.call(load, [b.bitcast(place, ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
