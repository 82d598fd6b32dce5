"""Sizes of axes: a plain `int`, or a polynomial over sizes that are still open.

    >>> n = open_size("n")
    >>> str(4 * n + n * n - 1)
    'n^2 + 4*n - 1'

Integers in, integers out: a polynomial that has become constant is returned as an `int`, so the
same shape rules serve a model whose sizes are bound and one that is checked symbolically.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from specc.system.records import dataclass


class Undecided(Exception):
    """A comparison whose outcome depends on a symbolic size; `.size` is the polynomial in doubt."""

    def __init__(self, size: Polynomial) -> None:
        super().__init__(f"the sign of {size} is not known")
        self.size = size


@dataclass(frozen=True)
class Quotient:
    """floor(numerator / denominator), if the division does not give a polynomial."""

    numerator: Polynomial | int
    denominator: Polynomial | int

    def __str__(self) -> str:
        return f"({_factor(self.numerator)} // {_factor(self.denominator)})"


# A monomial is a sorted tuple of (atom, power); an atom is a size's name or a Quotient.
Atom = str | Quotient
Monomial = tuple[tuple[Atom, int], ...]


@dataclass(frozen=True)
class Polynomial:
    """A sum of monomials with integer coefficients, in normal form (equal polynomials are `==`)."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Size) -> Size:
        if not isinstance(other, (int, Polynomial)):
            return NotImplemented
        sums = dict(self.terms)
        for monomial, coefficient in _terms(other):
            sums[monomial] = sums.get(monomial, 0) + coefficient
        return _normal(sums)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: Size) -> Size:
        if not isinstance(other, (int, Polynomial)):
            return NotImplemented
        product: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = _times(left, right)
                product[monomial] = product.get(monomial, 0) + a * b
        return _normal(product)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Size:
        result: Polynomial | int = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Size) -> Size:
        if not isinstance(other, (int, Polynomial)):
            return NotImplemented
        exact = _exact_quotient(self, other)
        return exact if exact is not None else atom(Quotient(self, other))

    def __rfloordiv__(self, other: Size) -> Size:
        return atom(Quotient(other, self))

    def __mod__(self, other: Size) -> Size:
        return self - (self // other) * other

    def __lt__(self, other: Size) -> bool:
        return _sign(self - other) < 0

    def __le__(self, other: Size) -> bool:
        return _sign(self - other) <= 0

    def __gt__(self, other: Size) -> bool:
        return _sign(self - other) > 0

    def __ge__(self, other: Size) -> bool:
        return _sign(self - other) >= 0

    def __int__(self) -> int:
        raise Undecided(self)

    __index__ = __int__

    def __str__(self) -> str:
        ordered = sorted(self.terms, key=lambda term: (-sum(p for _, p in term[0]), str(term[0])))
        text = ""
        for monomial, coefficient in ordered:
            factors = [f"{name}^{power}" if power > 1 else f"{name}" for name, power in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            joined = "*".join(factors)
            text += f" {sign} {joined}" if text else (f"-{joined}" if sign == "-" else joined)
        return text

    __repr__ = __str__


Size = int | Polynomial
Shape = tuple[Size, ...]


def open_size(name: str) -> Polynomial:
    """Return the size called `name`, whose number is not known yet."""
    return atom(name)


def atom(value: Atom) -> Polynomial:
    return Polynomial(((((value, 1),), 1),))


def bound(size: Size) -> int:
    """Return a size as an integer, in a model whose sizes are all known."""
    assert isinstance(size, int), f"the size {size} is symbolic"
    return size


def same(left: Size, right: Size) -> bool | None:
    """Return whether two sizes are equal; None if that depends on a symbolic size."""
    difference = left - right
    if isinstance(difference, int):
        return difference == 0
    return None


def count(shape: Iterable[Size]) -> int:
    """Return the number of elements of a shape whose sizes are all known."""
    return math.prod(map(bound, shape))


def product(sizes: Iterable[Size]) -> Size:
    """Return the number of elements of a shape."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def bind(size: Size, values: Mapping[str, int]) -> Size:
    """Return the size with numbers in place of names."""
    total: Size = 0
    for monomial, coefficient in _terms(size):
        product_: Size = coefficient
        for factor, power in monomial:
            if isinstance(factor, Quotient):
                value = bind(factor.numerator, values) // bind(factor.denominator, values)
            else:
                value = values[factor] if factor in values else atom(factor)
            product_ = product_ * value**power
        total = total + product_
    return total


def extent(size: Size) -> int:
    """Return the length of a size as text: factors, also within quotients, and 64 bits a number."""
    total = 0
    for monomial, coefficient in _terms(size):
        total += 1 + coefficient.bit_length() // 64
        for factor, power in monomial:
            total += power
            if isinstance(factor, Quotient):
                total += extent(factor.numerator) + extent(factor.denominator)
    return total


def open_names(size: Size) -> set[str]:
    """Return the names of the symbolic sizes that `size` depends on."""
    names: set[str] = set()
    for monomial, _ in _terms(size):
        for factor, _ in monomial:
            if isinstance(factor, Quotient):
                names |= open_names(factor.numerator) | open_names(factor.denominator)
            elif monomial:
                names.add(factor)
    return names


def show(shape: Shape) -> str:
    """Return a shape as messages show it: `[32, 14, 14]`."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def _terms(value: Size) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(value, Polynomial):
        return value.terms
    return (((), value),) if value else ()


def _normal(sums: dict[Monomial, int]) -> Size:
    kept = {monomial: c for monomial, c in sums.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Polynomial(tuple(sorted(kept.items(), key=str)))


def _times(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(left)
    for factor, power in right:
        powers[factor] = powers.get(factor, 0) + power
    return tuple(sorted(powers.items(), key=str))


def _exact_quotient(numerator: Polynomial, denominator: Size) -> Size | None:
    if isinstance(denominator, Polynomial) and len(denominator.terms) > 1:
        return 1 if numerator == denominator else None
    if denominator == 0:
        return None
    ((divisor, scale),) = _terms(denominator)
    quotient: dict[Monomial, int] = {}
    for monomial, coefficient in numerator.terms:
        powers = dict(monomial)
        for factor, power in divisor:
            powers[factor] = powers.get(factor, 0) - power
        if coefficient % scale or any(power < 0 for power in powers.values()):
            return None
        kept = tuple(sorted(((f, p) for f, p in powers.items() if p), key=str))
        quotient[kept] = coefficient // scale
    return _normal(quotient)


def _sign(value: Size) -> int:
    """Return -1, 0 or 1; sizes are at least 1, so equal signs of all monomials decide it."""
    if isinstance(value, int):
        return (value > 0) - (value < 0)
    constant = dict(value.terms).get((), 0)
    varying = [c for monomial, c in value.terms if monomial]
    simple = all(isinstance(factor, str) for monomial, _ in value.terms for factor, _ in monomial)
    # every monomial is at least 1, so the sum of the coefficients is a bound of the value
    if simple and all(c > 0 for c in varying) and constant + sum(varying) > 0:
        return 1
    if simple and all(c < 0 for c in varying) and constant + sum(varying) < 0:
        return -1
    raise Undecided(value)


def _factor(value: Size) -> str:
    text = str(value)
    return f"({text})" if " " in text else text
