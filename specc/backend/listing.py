"""A compiled program as a readable Python file: kernels, then forward, backward and update.

    print(listing(program, compiled))

Above each call is a comment with the line of the .dl file that it belongs to, and with the shapes
of its inputs and its result; values have the user's names. The kernels are exactly the text that
is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from keyword import iskeyword
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from specc.backend.emit.calls import Address, ConstantArray, KernelCall
from specc.backend.llvm.kernel import Kernel
from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph, Node, topological
from specc.ir.names import RECORDED, OutputKind, kind_of
from specc.ir.op import Form
from specc.ir.plan import Plan
from specc.ir.program import Program
from specc.ir.show import show_graph
from specc.ops.leaf import Const, Input, Role

if TYPE_CHECKING:
    from specc.backend.measure.timing import CallTime

_HEAD = '''"""{name}: the code that specc compiled from {file}.

Read it from the end: `step` calls {functions}, and these call \
the kernels above.
It shows {shards} a batch of {batch}: {examples} examples.

Memory. A value that differs between examples is stored as [axes..., lanes]: its {lanes} lanes are
contiguous, so that every loop runs along vectors. Weights are arrays in C order. All addresses are
fixed before the first step: nothing is allocated while training. An argument `m.x` is the address
of x, `m.x + 64` is 64 bytes after it, and `table(n)` is a table of n offsets made by the compiler.
"""
'''


def listing(
    program: Program,
    compiled: CompiledProgram,
    settings: Graph | None = None,
    update: CompiledProgram | None = None,
    batches: int = 1,
    again: CompiledProgram | None = None,
) -> str:
    """Return the source of one shard's step, kernels first.

    In a step of several `batches`, `compiled` adds up the gradients of a batch, `again` those of
    rules with `gradient_at`, and `update` updates the weights.
    """
    plan = compiled.plan
    calls = compiled.calls()
    seconds = [] if again is None else again.calls()
    updating = [] if update is None else update.calls()
    kernels = _named_kernels([*calls, *seconds, *updating])
    file = _file_name(program.recipe.span) if program.recipe.span else f"{program.name}.dl"
    shards = (
        "the one shard of"
        if plan.shards == 1
        else f"the first of {plan.shards} shards, {plan.sharing.said}"
    )
    has_second = again is not None or "again" in plan_parts(plan).values()
    text = _HEAD.format(
        functions="`forward`, `backward`, `again` and `update`"
        if has_second
        else "`forward`, `backward` and `update`",
        name=program.name,
        file=_quoted(file),
        shards=shards,
        examples=plan.examples,
        batch=plan.batch,
        lanes=plan.lanes,
    )
    text += f"\nimport numpy as np\nfrom numpy import {compiled.dtype} as real\n"
    text += _imports(kernels)
    text += _parameters(program)
    for kernel, name in kernels.items():
        text += f"\n\n{_renamed(kernel, name).strip()}\n"
    names = _Names(plan)
    titles = _TITLES if update is None else _TITLES_OF_SEVERAL
    text += _functions(calls, names, kernels, titles)
    steps = _called(calls, plan, titles)
    if update is not None:
        steps = _over_batches(steps, batches)
    if again is not None:
        names = _Names(again.plan)
        text += _functions(seconds, names, kernels, _TITLES_AGAIN)
        steps += _over_batches(_called(seconds, again.plan, _TITLES_AGAIN), batches)
    if update is not None:
        names = _Names(update.plan)
        text += _functions(updating, names, kernels, _TITLE_OF_UPDATE)
    if settings is not None and settings.outputs:
        text += "\n\n# The optimizer's settings, computed ahead for a stretch of steps:\n"
        called = {
            node.op.label: name
            for node, name in names.node.items()
            if isinstance(node.op, Input) and node.op.role == Role.SETTING
        }
        settings = Graph(
            {called.get(label, label): node for label, node in settings.outputs.items()}
        )
        text += "".join(f"#   {_printable(line)}\n" for line in show_graph(settings).splitlines())
    if update is not None:
        steps += "    update(m)\n"
    steps = steps or "    pass  # there is no output\n"
    return f"{text}\n\ndef step(m):\n{steps}"


_TITLES = {
    "pack_weights": (
        "pack_weights",
        "Pack the weights in the order of the tiles, for all steps until they change",
    ),
    "forward": ("forward", "Compute the losses, metrics and outputs of a batch"),
    "backward": ("backward", "Compute the gradient of every weight, last layer first"),
    "again": ("again", "Compute gradients again, over weights that have moved"),
    "update": ("update", "Apply the optimizer's rule, and write the record"),
}
"""The function of each part of a step, and what it does."""
_TITLES_OF_SEVERAL = {
    **_TITLES,
    "update": ("add_gradients", "Add the gradients of a batch to their sums, and write the record"),
}
_TITLES_AGAIN = {
    **_TITLES,
    "update": ("add_gradients_again", "Add the gradients of a batch to their sums"),
}
_TITLE_OF_UPDATE = {"update": ("update", "Apply the optimizer's rule to the sums of gradients")}
"""The same for a step of several batches, whose update follows the last one."""


def _functions(
    calls: Sequence[KernelCall],
    names: _Names,
    kernels: dict[Kernel, str],
    titles: Mapping[str, tuple[str, str]],
) -> str:
    """Return the functions of the parts of a step, each with its calls."""
    plan, text = names.plan, ""
    roles = plan_parts(plan)
    for part, (name, title) in titles.items():
        chosen = [call for call in calls if _part(call, roles) == part]
        if chosen:
            text += f'\n\ndef {name}(m):\n    """{title}."""\n'
            for iterations, together in groupby(chosen, key=lambda call: call.loop):
                lines = "".join(_call(call, kernels, names, plan) for call in together)
                if iterations is not None:
                    lines = (
                        f"    for iteration in range({iterations.count}):\n{indent(lines, '    ')}"
                    )
                text += lines
    return text


def _called(calls: Sequence[KernelCall], plan: Plan, titles: Mapping[str, tuple[str, str]]) -> str:
    """Return calls of the functions of a step, in order."""
    roles = plan_parts(plan)
    found = {_part(call, roles) for call in calls}
    return "".join(f"    {titles[part][0]}(m)\n" for part in ORDER if part in found)


def _over_batches(steps: str, batches: int) -> str:
    return f"    for batch in range({batches}):\n{indent(steps, '    ')}"


def _imports(kernels: Iterable[Kernel]) -> str:
    """Return an import line for each module that the kernels use."""
    wanted: dict[str, set[str]] = {"specc.backend.llvm.vectormath": {"*"}}
    for kernel in kernels:
        for line in kernel.imports.splitlines():
            if match := re.fullmatch(r"from (specc[\w.]*) import (.*)", line):
                wanted.setdefault(match[1], set()).update(match[2].split(", "))
    return "".join(
        f"from {module} import {', '.join(sorted(names))}\n"
        for module, names in sorted(wanted.items())
    )


def _file_name(span) -> str:
    return _printable(Path(span.source.name).name)


def _printable(text: str) -> str:
    """Return the text with escapes for characters that cannot be printed, such as line breaks."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _quoted(text: str) -> str:
    """Return a text with escapes for the characters that have a meaning in a docstring."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _parameters(program: Program) -> str:
    lines = [f"#   {each.path}  {list(each.type.shape)}" for each in program.parameters]
    return "\n# The parameters, m.PATH below:\n" + "\n".join(lines) + "\n" if lines else ""


def _named_kernels(calls: Iterable[KernelCall]) -> dict[Kernel, str]:
    """Return a unique name for each kernel, in the order of their first use."""
    names: dict[Kernel, str] = {}
    used: dict[str, int] = {}
    for call in calls:
        if call.kernel not in names:
            base = call.kernel.name
            used[base] = used.get(base, 0) + 1
            names[call.kernel] = base if used[base] == 1 else f"{base}_{used[base]}"
    return names


def _renamed(kernel: Kernel, name: str) -> str:
    source = re.sub(
        rf"^def {re.escape(kernel.name)}\(", f"def {name}(", kernel.source, count=1, flags=re.M
    )
    own = [
        line
        for line in kernel.imports.splitlines()
        if line and not line.startswith(("from ", "import "))
    ]
    return "\n".join([*own, "", source.strip()] if own else [source.strip()])


def _part(call: KernelCall, roles: Mapping[Node, str]) -> str:
    """Return the name of the function that a call belongs to."""
    if call.once:
        return "pack_weights"
    return part_of_nodes(call.loop.nodes if call.loop is not None else call.nodes, roles)


def part_of_nodes(nodes: Iterable[Node], roles: Mapping[Node, str]) -> str:
    """Return the part that one call's nodes belong to, one of `ORDER`."""
    return min((roles.get(node, "forward") for node in nodes), key=PARTS.index, default="update")


ORDER = ("forward", "backward", "again", "update")
PARTS = ("forward", "update", "again", "backward")
"""A call whose nodes differ belongs to the first of these."""


def plan_parts(plan: Plan) -> dict[Node, str]:
    """Return the part of a training step that each node belongs to.

    It is "forward" if a loss, metric or output needs the node, "update" if the node follows a sum
    over the shards and only new weights and states need it, "again" if it belongs to a second
    evaluation, over weights that have moved, and "backward" otherwise.
    """
    outputs = plan.graph.outputs
    seen = topological(
        [node for name, node in outputs.items() if kind_of(name) in (*RECORDED, OutputKind.OUTPUT)]
    )
    parts = dict.fromkeys(seen, "forward")
    for node in plan.graph.nodes:
        if node not in parts:
            follows = any(parts.get(each) == "update" for each in node.inputs)
            is_complete = node.op.form is Form.SHARDS or (
                not node.type.batched and not node.op.sums_batch
            )
            is_again = node.origin.again and node.op.form is not Form.SHARDS
            if isinstance(node.op, (Input, Const)):
                parts[node] = "forward"
            elif (follows or is_complete) and not node.type.batched and not is_again:
                parts[node] = "update"
            else:
                parts[node] = "again" if is_again else "backward"
    for node in reversed(plan.graph.nodes):
        if parts[node] == "backward":
            needed = (each for each in node.inputs if parts[each] in ("update", "again"))
            parts.update(dict.fromkeys(needed, "backward"))
    _with_places(plan.graph, parts)
    if any(kind_of(name) == OutputKind.AGAIN for name in outputs):  # all of it is the second one
        parts = {node: part if part == "update" else "again" for node, part in parts.items()}
    return parts


def _with_places(graph: Graph, parts: dict[Node, str]) -> None:
    """Let what only leads to a second evaluation belong to it: the weights that have moved."""
    second = [node for node, part in parts.items() if part == "again"]
    if not second:
        return
    direct: set[Node] = set()
    stack = [
        node
        for name, node in graph.outputs.items()
        if kind_of(name) in (OutputKind.PARAM, OutputKind.STATE)
    ]
    while stack:
        node = stack.pop()
        if node not in direct and parts[node] != "again":
            direct.add(node)
            stack += node.inputs
    for node in topological(second):
        if parts[node] == "update" and node not in direct:
            parts[node] = "again"


def parts_of_step(plan: Plan, update: Plan | None = None) -> dict[Node, str]:
    """Return the part that each node of a step belongs to.

    With `update`, the step runs `plan` for several batches and then `update`; adding up the
    gradients belongs to the backward pass.
    """
    if update is None:
        return plan_parts(plan)
    parts = {
        node: "backward" if part == "update" else part for node, part in plan_parts(plan).items()
    }
    return parts | dict.fromkeys(update.graph.nodes, "update")


def part_of_call(call: CallTime, roles: Mapping[Node, str]) -> str:
    """Return the part that a timed call belongs to, one of `ORDER`."""
    return "again" if call.is_again else part_of_nodes(call.nodes, roles)


class _Names:
    """The names of values in a listing, which are the user's names if there are any."""

    def __init__(self, plan: Plan):
        self.of: dict[tuple[str, int], list[str]] = {}
        self.plan = plan
        taken: dict[str, int] = {}
        self.node: dict[Node, str] = {}
        parts = plan_parts(plan)
        last = {
            self._stem(node): node
            for node in plan.graph.nodes
            if node in plan.allocations and (parts[node] == "forward" or node.origin.name)
        }
        for node in plan.allocations:
            stem = self._stem(node)
            kind = "step" if getattr(node.op, "role", "") == "step" else node.op.name.lower()
            name = stem if last.get(stem) is node else f"{stem}_{kind}"
            taken[name] = taken.get(name, 0) + 1
            self.node[node] = name if taken[name] == 1 else f"{name}_{taken[name]}"

    @staticmethod
    def _stem(node: Node) -> str:
        """Return the user's name for the value, or for the layer or function that made it."""
        op = node.op
        if isinstance(op, Input) and op.role != Role.STEP:
            if op.role == Role.SETTING:
                return node.origin.name or f"setting{op.label}"
            return op.label or op.role
        return re.sub(r"[^\w.]", "_", node.origin.name or node.origin.word or op.name.lower())


def _call(call: KernelCall, kernels: dict[Kernel, str], names: _Names, plan: Plan) -> str:
    """Return the lines of a call with its comment."""
    lines = []
    if call.nodes:
        origins = dict.fromkeys(
            (_file_name(node.origin.span), node.origin.span.line, node.origin.span.text)
            for node in call.nodes
            if node.origin.span
        )
        for file, line, text in list(origins)[:2]:
            short = _printable(" ".join(text.split()))
            short = short if len(short) <= 60 else short[:57] + "..."
            lines.append(f"    # {file}:{line}  {short}")
        reads = [
            each
            for node in call.nodes
            for each in node.inputs  # only other calls' have memory
            if each not in call.nodes and plan.views[each].root in names.node
        ]
        shapes = ", ".join(
            dict.fromkeys(
                f"{names.node[plan.views[each].root]} {list(each.type.shape)}" for each in reads
            )
        )
        result = call.nodes[-1]
        lines.append(f"    # {shapes + ' ' if shapes else ''}-> {list(result.type.shape)}")
    owners = _owners(call, names, plan)
    arguments = [f"{name}={_value(value, owners, names)}" for name, value in call.arguments]
    joined = ", ".join(arguments)
    lines.append(f"    {kernels[call.kernel]}({joined})")
    return "\n".join(lines) + "\n"


def _attribute(path: str) -> str:
    """Return a path of names as attributes in Python: `dense1.lambda_` for `dense1.lambda`."""
    return re.sub(
        r"[A-Za-z_]\w*", lambda name: f"{name[0]}_" if iskeyword(name[0]) else name[0], path
    )


def _owners(call: KernelCall, names: _Names, plan: Plan) -> dict[tuple[str, int], str]:
    """Map the addresses in a call to its values, because memory holds several values per step."""
    owners: dict[tuple[str, int], str] = {}
    involved = [
        *call.nodes,
        *(plan.views[each].root for node in call.nodes for each in node.inputs),
    ]
    for node in involved:
        allocation = plan.allocations.get(node)
        if allocation is not None:
            owners.setdefault((allocation.space, allocation.offset), names.node[node])
    return owners


def _value(value, owners: dict[tuple[str, int], str], names: _Names) -> str:
    if isinstance(value, ConstantArray):
        return f"table({value.array.size})"
    if not isinstance(value, Address):
        return str(value)
    if value.stride:
        sign = "+" if value.stride > 0 else "-"
        still = _value(replace(value, stride=0), owners, names)
        return f"{still} {sign} {abs(value.stride)} * iteration"
    space = value.space
    if kind_of(space) in (OutputKind.PARAM, OutputKind.STATE):
        base = f"m.{_attribute(space.partition('.')[2])}"
        return base + (f" + {value.offset}" if value.offset else "")
    known = owners.get((space, value.offset))
    if known is None and space in ("arena", "shared"):
        starts = [
            (offset, name)
            for (where, offset), name in owners.items()
            if where == space and offset <= value.offset
        ]
        if starts:
            offset, name = max(starts)
            known = f"{name} + {value.offset - offset}"
    if known is not None:
        known = _attribute(known)
        return f"m.shard({value.shard}).{known}" if value.shard else f"m.{known}"
    return (
        f"m.{space}"
        + (f"_{value.name.replace('.', '_')}" if value.name else "")
        + (f" + {value.offset}" if value.offset else "")
    )
