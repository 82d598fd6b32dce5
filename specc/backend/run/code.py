"""The calls of a program with the addresses of their kernels, for given types of the columns.

code = Code(shards, addresses, frame_words)      # shards: the calls of each shard
code.phases                                      # the number of phases of a step
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specc.backend.emit.calls import KernelCall, in_order, phase_of
from specc.backend.emit.sharing import shared_bytes
from specc.backend.llvm.kernel import Kernel
from specc.system.lazy import cached_property
from specc.system.records import dataclass


@dataclass(frozen=True, eq=False)
class Code:
    """The calls of a program for given element types of the columns."""

    shards: list[list[KernelCall]]
    addresses: Mapping[Kernel, int]
    frame_words: int

    @cached_property
    def calls(self) -> list[list[KernelCall]]:
        """The calls of each shard; a call within a loop is listed once per iteration."""
        return [
            [
                replace(call, phase=phase_of(call, iteration)) if iteration else call
                for call, iteration in in_order(calls)
                if not call.once
            ]
            for calls in self.shards
        ]

    @cached_property
    def phases(self) -> int:
        return 1 + max(
            (phase_of(*each) for calls in self.shards for each in in_order(calls)), default=0
        )

    @cached_property
    def scratch(self) -> int:
        """The bytes of scratch memory of a shard."""
        return max((call.scratch for calls in self.shards for call in calls), default=0)

    @cached_property
    def copies(self) -> int:
        """The bytes of memory for copies that the shards make together."""
        return shared_bytes(self.shards)
