"""A kernel's tree to LLVM's instructions, in one pass: every type follows from those before it.

    module = module_of(tree, "float32", "specc_relu", is_alone=True, functions=names.get)

The result is `void specc_relu(int64 *args, int64 *control)`, which takes the kernel's arguments
from `args` and calls the kernel itself, which LLVM inlines. Arguments and variables are first
written as memory on the stack, which LLVM turns into registers.

A variable has the type of its first value; for types of numbers see `values`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir

from specc.backend.llvm.formulas import Formulas, MemoryVariable, Variable, literal
from specc.backend.llvm.intrinsics import (
    I64,
    NAMED,
    Helper,
    LLVMIntrinsic,
    Number,
    declared,
    stack,
)
from specc.backend.llvm.kernel import CONTROL_WORDS
from specc.backend.llvm.values import (
    BOOL,
    INT,
    KernelValue,
    LoweringError,
    Memory,
    keeps,
    stored,
)
from specc.target import parse
from specc.target.expressions import (
    Binary,
    Boolean,
    Expression,
    Name,
    replaced,
)
from specc.target.statements import (
    Array,
    Assign,
    AugmentedAssign,
    Block,
    Comment,
    Continue,
    Control,
    Do,
    For,
    Function,
    If,
    Return,
    Statement,
    Store,
    While,
)

_FLOAT_OPERATIONS = ("fadd", "fsub", "fmul", "fdiv", "frem", "fcmp")


def module_of(
    tree: Function,
    dtype: str,
    symbol: str,
    is_alone: bool,
    functions: Callable[[str], Any],
) -> ir.Module:
    """Return the module of a kernel.

    `is_alone`: no two of its arrays share memory. `functions` finds what the kernel calls by its
    name: an intrinsic, or a helper.
    """
    module = ir.Module(symbol)
    writer = _Module(module, NAMED[dtype], functions)
    parameters = [writer.type_of(each.type) for each in tree.parameters]
    body = ir.Function(module, ir.FunctionType(ir.VoidType(), parameters), f"{symbol}_body")
    body.linkage = "internal"
    body.attributes.add("alwaysinline")
    for each, kind in zip(body.args, parameters, strict=True):
        if is_alone and isinstance(kind, ir.PointerType):
            each.add_attribute("noalias")
    _Body(writer, body, tree).write()
    _unpack(module, symbol, body, tree)
    _contract(module)
    return module


def _unpack(module: ir.Module, symbol: str, body: ir.Function, tree: Function) -> None:
    """Write the function that takes the arguments from their block."""
    word = I64.as_pointer()
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), [word, word]), symbol)
    for each in outer.args:
        each.add_attribute("noalias")
    b = ir.IRBuilder(outer.append_basic_block())
    block, control = outer.args
    passed = []
    slot = 0
    for parameter, kind in zip(tree.parameters, body.args, strict=True):
        if isinstance(parameter.type, Control):
            passed.append(control)
            continue
        value = b.load(b.gep(block, [I64(slot)]))
        slot += 1
        passed.append(b.inttoptr(value, kind.type) if isinstance(parameter.type, Array) else value)
    assume = declared(module, ir.FunctionType(ir.VoidType(), [BOOL.ir]), "llvm.assume")
    sizes = _sizes(tree)
    for parameter, value in zip(tree.parameters, passed, strict=True):
        if parameter.name in sizes:
            b.call(assume, [b.icmp_signed(">=", value, I64(0))])
    b.call(body, passed)
    b.ret_void()


def _sizes(tree: Function) -> set[str]:
    """Return the arguments that the extents of arrays are made of: none of them is negative."""
    found: set[str] = set()

    def noted(part: Expression) -> None:
        if isinstance(part, Name):
            found.add(part.id)

    for parameter in tree.parameters:
        if isinstance(parameter.type, Array):
            for extent in parameter.type.extents:
                replaced(extent, noted)
    return found


def _contract(module: ir.Module) -> None:
    """Let a product and a sum become one rounding, and nothing else.

    Reassociation would turn (x + 1) - x into 1 for a NaN, and a reciprocal's approximation is NaN
    at 0 and infinity. Sums use `plus`.
    """
    for function in module.functions:
        for block in function.blocks:
            for each in block.instructions:
                if each.opname in _FLOAT_OPERATIONS:
                    if not each.flags:
                        each.flags.append("contract")
                elif isinstance(each, ir.CallInstr) and _is_float(each.type):
                    each.fastmath.add("contract")


def _is_float(kind: ir.Type) -> bool:
    return isinstance(kind, (ir.FloatType, ir.DoubleType))


class _Module:
    """The module that functions are written to, with the types and functions that they share."""

    def __init__(self, module: ir.Module, real: Number, functions: Callable[[str], Any]):
        self.module, self.real, self._functions = module, real, functions
        self._helpers: dict[str, ir.Function] = {}

    def number(self, name: str) -> Number:
        """Return the type of this name in the language of kernels."""
        return self.real if name in ("real", "float") else INT if name == "int" else NAMED[name]

    def type_of(self, parameter: Any) -> ir.Type:
        """Return the type in which a kernel gets an argument."""
        if isinstance(parameter, Array):
            return self.number(parameter.element).ir.as_pointer()
        return I64.as_pointer() if isinstance(parameter, Control) else I64

    def function(self, name: str) -> Any:
        """Return the intrinsic or helper of this name."""
        found = self._functions(name)
        if not isinstance(found, (LLVMIntrinsic, Helper)):
            raise LoweringError(f"there is no function `{name}`")
        return found

    def helper(self, name: str, helper: Helper) -> ir.Function:
        """Return a function of the module itself; it is written when it is first called."""
        if name not in self._helpers:
            tree = parse.helper(helper.function)
            result = {None: ir.VoidType(), True: BOOL.ir, False: I64}[_returns(tree.body)]
            kind = ir.FunctionType(result, [I64] * len(tree.parameters))
            made = self._helpers[name] = ir.Function(self.module, kind, name)
            made.linkage = "internal"
            _Body(self, made, tree).write()
        return self._helpers[name]


def _returns(block: Block) -> bool | None:
    """Return whether a function returns booleans; None if it returns nothing."""
    for each in block:
        inner: Block = ()
        if isinstance(each, Return) and each.value is not None:
            return isinstance(each.value, Boolean)
        if isinstance(each, If):
            inner = (*each.body, *each.otherwise)
        elif isinstance(each, (For, While)):
            inner = each.body
        found = _returns(inner) if inner else None
        if found is not None:
            return found
    return None


class _Body(Formulas):
    """Writes one function."""

    def __init__(self, module: _Module, function: ir.Function, tree: Function):
        super().__init__(module, function)
        self._tree = tree
        self._next: list[ir.Block] = []  # for each open loop, the block that `continue` goes to

    def write(self) -> None:
        arguments = dict(
            zip((each.name for each in self._tree.parameters), self.function.args, strict=True)
        )
        for each in self._tree.parameters:  # extents are made of integers
            if not isinstance(each.type, (Array, Control)):
                self._assign(each.name, KernelValue(INT, arguments[each.name]))
        for each in self._tree.parameters:
            if isinstance(each.type, Array):
                extents = tuple(self._size(size) for size in each.type.extents)
                element = self.module.number(each.type.element)
                self._assign(each.name, Memory(element, arguments[each.name], extents))
            elif isinstance(each.type, Control):
                size = (I64(CONTROL_WORDS),)
                self._assign(each.name, Memory(INT, arguments[each.name], size))
        self._block(self._tree.body)
        if not self.b.block.is_terminated:
            if isinstance(self.function.return_value.type, ir.VoidType):
                self.b.ret_void()
            else:
                self.b.unreachable()

    def _size(self, tree: Expression) -> Any:
        """Return an extent: products and sums of sizes, none of which is negative."""
        if isinstance(tree, Binary) and tree.operator in ("+", "*"):
            act = self.b.add if tree.operator == "+" else self.b.mul
            return act(self._size(tree.left), self._size(tree.right), flags=("nuw", "nsw"))
        return self.integer(tree)

    # Statements.

    def _block(self, block: Block) -> None:
        for each in block:
            if self.b.block.is_terminated:  # the statement cannot be reached
                return
            _STATEMENTS[type(each)](self, each)

    def _comment(self, tree: Comment) -> None:
        pass

    def _set(self, tree: Assign) -> None:
        self._assign(tree.name, self.any(tree.value))

    def _assign(self, name: str, value: KernelValue | Memory) -> None:
        known = self.variables.get(name)
        if isinstance(value, Memory):
            if known is None:
                places = [stack(self.b, each.type) for each in (value.data, *value.extents)]
                known = MemoryVariable(value.element, places[0], tuple(places[1:]))
                self.variables[name] = known
            if (
                not isinstance(known, MemoryVariable)
                or known.element != value.element
                or len(known.extents) != len(value.extents)
            ):
                raise LoweringError(f"`{name}` becomes an array of another kind")
            self.b.store(value.data, known.data)
            for extent, place in zip(value.extents, known.extents, strict=True):
                self.b.store(extent, place)
            return
        if known is None:
            kind = stored(value.type)
            known = self.variables[name] = Variable(kind, stack(self.b, kind.ir, name))
        if not isinstance(known, Variable) or not keeps(value, known.type):
            raise LoweringError(f"`{name}` becomes a value of another type")
        self.b.store(self.numbers.cast(value, known.type), known.place)

    def _store(self, tree: Store) -> None:
        value = self.value(tree.value)
        element, place = self.place(tree.place)
        self.b.store(self.numbers.cast(value, element), place)

    def _update(self, tree: AugmentedAssign) -> None:
        if isinstance(tree.place, Name):
            self._assign(tree.place.id, self._binary(Binary(tree.operator, tree.place, tree.value)))
            return
        element, place = self.place(tree.place)
        value = self.numbers.arithmetic(
            tree.operator, KernelValue(element, self.b.load(place)), self.value(tree.value)
        )
        self.b.store(self.numbers.cast(value, element), place)

    def _do(self, tree: Do) -> None:
        self.called(tree.call)

    def _for(self, tree: For) -> None:
        step = literal(tree.step)
        if not step:
            raise LoweringError("a loop's step is a number other than 0")
        b, start, stop = self.b, self.integer(tree.start), self.integer(tree.stop)
        first = start
        if step == 1 and literal(tree.start) != 0:
            # counted from 0: so LLVM sees that range(i, i + 16) is 16 iterations
            first, stop = I64(0), b.sub(stop, start)
        before, (test, body, following, after) = b.block, self.blocks(4)
        b.branch(test)
        b.position_at_end(test)
        count = b.phi(I64)
        count.add_incoming(first, before)
        b.cbranch(b.icmp_signed("<" if step > 0 else ">", count, stop), body, after)
        b.position_at_end(body)
        index = count if first is start else b.add(start, count, flags=("nsw",))
        self._assign(tree.index, KernelValue(INT, index))
        self._inside(tree.body, following)
        b.position_at_end(following)
        count.add_incoming(b.add(count, I64(step), flags=("nsw",)), following)
        b.branch(test)
        b.position_at_end(after)

    def _while(self, tree: While) -> None:
        b, (test, body, after) = self.b, self.blocks(3)
        b.branch(test)
        b.position_at_end(test)
        b.cbranch(self.condition(tree.condition), body, after)
        b.position_at_end(body)
        self._inside(tree.body, test)
        b.position_at_end(after)

    def _inside(self, body: Block, following: ir.Block) -> None:
        """Write the body of a loop, and the branch to its next iteration."""
        self._next.append(following)
        self._block(body)
        self._next.pop()
        self._go(following)

    def _if(self, tree: If) -> None:
        b, (yes, no, after) = self.b, self.blocks(3)
        b.cbranch(self.condition(tree.condition), yes, no)
        for block, body in ((yes, tree.body), (no, tree.otherwise)):
            b.position_at_end(block)
            self._block(body)
            self._go(after)
        b.position_at_end(after)

    def _continue(self, tree: Continue) -> None:
        self.b.branch(self._next[-1])

    def _return(self, tree: Return) -> None:
        if tree.value is None:
            self.b.ret_void()
        else:
            value = self.value(tree.value)
            kind = BOOL if self.function.return_value.type == BOOL.ir else INT
            self.b.ret(self.numbers.cast(value, kind))

    def _go(self, block: ir.Block) -> None:
        if not self.b.block.is_terminated:
            self.b.branch(block)


_STATEMENTS: Mapping[type[Statement], Callable[[_Body, Any], None]] = {
    Assign: _Body._set,
    Store: _Body._store,
    AugmentedAssign: _Body._update,
    Do: _Body._do,
    For: _Body._for,
    While: _Body._while,
    If: _Body._if,
    Comment: _Body._comment,
    Continue: _Body._continue,
    Return: _Body._return,
}
