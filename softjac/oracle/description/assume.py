"""Preconditions such as `n % 8 == 0`: parsed and walked, never evaluated as code."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from softjac._errors import CandidateError

__all__ = ["Assumption", "parse"]

_NUMBERS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Assumption:
    """A precondition: its text as given, the names in it, and whether it holds."""

    text: str
    names: frozenset[str]
    tree: ast.expr

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds for these values; a division by zero means that it does not."""
        try:
            return bool(_value(self.tree, values))
        except ZeroDivisionError:
            return False


def parse(text: str, names: Iterable[str]) -> Assumption:
    """A boolean expression over integers, in Python's or C's spelling of and, or, not.

    Args:
        text: such as `n % 8 == 0` or `n >= 1 && ldx == n`.
        names: the names it may use.

    Raises:
        CandidateError: it is anything else.

    Example:
        >>> parse("n % 8 == 0 && n >= 8", ["n"]).holds({"n": 16})
        True
    """
    known = frozenset(names)
    spelled = re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or ")).strip()
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST} characters")
        tree = ast.parse(spelled, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise CandidateError(
            f"--assume {text!r} cannot be parsed ({reason}); "
            "expected a condition such as 'n % 8 == 0'"
        ) from None
    if not _check(tree, text, known):
        raise CandidateError(
            f"--assume {text!r} is a number, not a condition; "
            "write a comparison such as 'n % 8 == 0'"
        )
    used = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Assumption(text, used, tree)


def _check(node: ast.expr, text: str, names: frozenset[str]) -> bool:
    """Checks an expression; whether it is a condition (or else a number)."""

    def expect(part: ast.expr, condition: bool) -> None:
        if _check(part, text, names) != condition:
            wanted, came = ("condition", "number") if condition else ("number", "condition")
            raise CandidateError(
                f"--assume {text!r}: expected a {wanted}, got the {came} {ast.unparse(part)!r}; "
                "parentheses may help"
            )

    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                expect(part, condition=True)
            return True
        case ast.UnaryOp(op=ast.Not(), operand=part):
            expect(part, condition=True)
            return True
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=part):
            expect(part, condition=False)
            return False
        case ast.Compare(left=left, ops=ops, comparators=others):
            for part in (left, *others):
                expect(part, condition=False)
            if all(type(op) in _COMPARISONS for op in ops):
                return True
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _NUMBERS:
            expect(left, condition=False)
            expect(right, condition=False)
            return False
        case ast.BinOp(op=ast.Div()):
            raise CandidateError(f"--assume {text!r}: write // for division of integers")
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int()):
            return False
        case ast.Name(id=name):
            if name in names:
                return False
            raise CandidateError(
                f"--assume {text!r}: there is no {name}; known are {', '.join(sorted(names))}"
            )
    raise CandidateError(
        f"--assume {text!r}: {ast.unparse(node)!r} is not allowed; expected integers, "
        f"{', '.join(sorted(names))}, + - * // % & | ^, comparisons, and, or, not"
    )


def _value(node: ast.expr, values: Mapping[str, int]) -> Any:
    """The value of a checked expression."""
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _value(part, values)
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -_value(part, values)
        case ast.UnaryOp(operand=part):
            return _value(part, values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            numbers = [_value(part, values) for part in (left, *others)]
            return all(
                _COMPARISONS[type(op)](a, b)
                for op, a, b in zip(ops, numbers, numbers[1:], strict=False)
            )
        case ast.BinOp(left=left, op=op, right=right):
            return _NUMBERS[type(op)](_value(left, values), _value(right, values))
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
    raise AssertionError(ast.dump(node))
