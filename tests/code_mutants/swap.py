"""Puts a change into the functions of this process.

    swap(change, "specc.passes.plan.phases")     # True if some function has the changed code now

No module is imported anew, which saves seconds for each mutant: a function object is given other
code. It is done in a forked process, so nothing has to be undone.
"""

from __future__ import annotations

import gc
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType

from tests.code_mutants.changes import Change


def swap(change: Change, module: str) -> bool:
    """Give the module's functions the changed code; False if none of them is concerned."""
    before = compile(change.source, "<mutant>", "exec", dont_inherit=True)
    functions = [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType
        and each.__module__ == module  # a weak proxy has a false class
    ]
    is_made = False
    for old, new in _differing(before, change.code()):
        for function in functions:
            if function.__code__ == old:
                try:
                    function.__code__ = new.replace(co_filename=function.__code__.co_filename)
                except ValueError:  # it reads other variables of the function around it
                    continue
                is_made = True
    if is_made:
        file = sys.modules[module].__file__
        text = change.text()
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return is_made


def _differing(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Pairs of code objects that differ, the outer ones first."""
    if old != new:
        yield old, new
    inner = [[each for each in code.co_consts if isinstance(each, CodeType)] for code in (old, new)]
    if len(inner[0]) == len(inner[1]):
        for pair in zip(*inner, strict=True):
            yield from _differing(*pair)
