"""The mutants of a module: its source text, changed in one place.

Changed are comparisons, arithmetic, `and`, `or` and `not`, numbers, what is returned, what ends a loop, whether one is
run at all, keywords that a call passes, statements that only call, and what a condition tests. Left alone is what has
no behaviour to test or is text: strings, errors that are raised, assertions, types, decorators, `__repr__`, class
bodies other than their methods, and what would mean the same.
"""

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

OPERATORS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "/"),
    ast.Pow: (r"\*\*", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.BitXor: (r"\^", "&"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
SIGNS = {ast.Not: "", ast.Invert: "", ast.USub: "+"}
TOLD = (ast.Compare, ast.BoolOp, ast.Constant)  # conditions that have mutants of their own
TEXT = (ast.Raise, ast.Assert, ast.JoinedStr)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """A changed source: where, how, and which lines must be run for the change to matter."""

    path: str
    line: int
    kind: str
    scope: str  # the qualified name of the outermost function; "" where a constant of the module is changed
    name: str  # of that constant
    runs: tuple[int, int]  # the first and the last line of the statement, or of the function whose default is changed
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.kind}"

    def diff(self, before: str) -> str:
        """Show the change as a unified diff."""
        lines = (text.splitlines(keepends=True) for text in (before, self.source))
        return "".join(difflib.unified_diff(*lines, self.path, str(self), n=2))


def mutants(path: str, text: str) -> list[Mutant]:
    """List the mutants of a module in the order of its lines."""
    return list(_Walk(path, text).module())


class _Walk:
    def __init__(self, path: str, text: str) -> None:
        self.path, self.tree = path, ast.parse(text)
        self.bytes = text.encode()
        self.starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.scope = self.name = ""
        self.runs = (0, 0)

    def module(self) -> Iterator[Mutant]:
        yield from self.outside(self.tree.body, "")

    def outside(self, body: list[ast.stmt], prefix: str) -> Iterator[Mutant]:
        """Walk through what is executed at import: functions, methods, constants."""
        for node in body:
            if isinstance(node, SCOPES):
                if node.name in ("__repr__", "__str__"):
                    continue
                self.scope, self.name = prefix + node.name, ""
                self.runs = (node.lineno, _end(node))
                for default in (*node.args.defaults, *node.args.kw_defaults):
                    if default is not None:
                        yield from self.expression(default)
                yield from self.statements(node.body)
            elif isinstance(node, ast.ClassDef):
                yield from self.outside(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign) and not prefix and isinstance(node.targets[0], ast.Name):
                self.scope, self.name = "", node.targets[0].id
                self.runs = (node.lineno, _end(node))
                yield from self.expression(node.value)

    def statements(self, body: list[ast.stmt]) -> Iterator[Mutant]:
        for node in body:
            yield from self.statement(node)

    def statement(self, node: ast.stmt) -> Iterator[Mutant]:
        if isinstance(node, TEXT):
            return
        outer, inner = self.runs, getattr(node, "body", None)
        last = max(node.lineno, inner[0].lineno - 1) if inner else _end(node)
        self.runs = (node.lineno, last)
        match node:
            case ast.Break():
                yield self.change(node, "continue", "break")
            case ast.Continue():
                yield self.change(node, "break", "continue")
            case ast.Return(value=value) if value is not None and not _is_named(value):
                yield self.change(value, "None", "return")
            case ast.Expr(value=ast.Call()):
                yield self.change(node, "pass", "statement")
            case ast.For(iter=values):
                yield self.change(values, "()", "loop")
            case ast.AugAssign(op=op):
                yield from self.between(node.target, node.value, op)
        yield from self.conditions(node)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_comment") or isinstance(node, ast.ClassDef):
                continue
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.stmt):
                    yield from self.statement(each)
                elif isinstance(each, ast.ExceptHandler | ast.match_case):
                    yield from self.statements(each.body)
                elif isinstance(each, ast.AST):
                    yield from self.expression(each)
        self.runs = outer

    def expression(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, TEXT):
            return
        match node:
            case ast.Constant(value=bool(value)):
                yield self.change(node, str(not value), "constant")
            case ast.Constant(value=int(value) | float(value)) if value + 1 != value:
                yield self.change(node, repr(value + 1), "number")
            case ast.Compare(left=left, ops=ops, comparators=right):
                for before, op, after in zip((left, *right), ops, right, strict=False):
                    yield from self.between(before, after, op)
            case ast.BoolOp(op=op, values=values):
                for before, after in pairwise(values):
                    yield from self.between(before, after, op)
            case ast.BinOp(left=left, op=op, right=right):
                yield from self.between(left, right, op)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in SIGNS:
                yield self.change(node, f"{SIGNS[type(op)]}({ast.unparse(operand)})", type(op).__name__)
            case ast.Call(func=func, args=args, keywords=keywords):
                for number, keyword in enumerate(keywords):
                    if keyword.arg is not None and not _means_nothing(keyword, node):
                        fewer = ast.Call(func, args, keywords[:number] + keywords[number + 1 :])
                        yield self.change(node, ast.unparse(fewer), f"without {keyword.arg}=")
        yield from self.conditions(node)
        for _, value in ast.iter_fields(node):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST) and not _means_nothing(each, node):
                    yield from self.expression(each)

    def conditions(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                tests = [test]
            case ast.comprehension(ifs=ifs):
                tests = ifs
            case _:
                tests = []
        for test in tests:
            if not isinstance(test, TOLD) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
                yield self.change(test, f"(not ({ast.unparse(test)}))", "condition")

    def between(self, left: ast.AST, right: ast.AST, op: ast.AST) -> Iterator[Mutant]:
        """Change the operator that stands between two expressions."""
        if type(op) not in OPERATORS:
            return
        old, new = OPERATORS[type(op)]
        low, high = self.at(left.end_lineno, left.end_col_offset), self.at(right.lineno, right.col_offset)
        found = re.search(old.encode(), self.bytes[low:high])
        assert found, f"no {old} between {ast.unparse(left)} and {ast.unparse(right)}"
        line = left.end_lineno + self.bytes[low : low + found.start()].count(b"\n")
        yield self.mutant(low + found.start(), low + found.end(), new, line, type(op).__name__)

    def change(self, node: ast.AST, text: str, kind: str) -> Mutant:
        low, high = self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)
        return self.mutant(low, high, text, node.lineno, kind)

    def mutant(self, low: int, high: int, text: str, line: int, kind: str) -> Mutant:
        source = (self.bytes[:low] + text.encode() + self.bytes[high:]).decode()
        return Mutant(self.path, line, kind, self.scope, self.name, self.runs, source)

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column


def _is_named(node: ast.expr) -> bool:
    """Whether a value is None, or True or False, which have mutants of their own."""
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _means_nothing(node: ast.AST, within: ast.AST) -> bool:
    """Whether a part of a call is an assertion, `strict=`, or a size that NumPy finds, which any negative number is."""
    if isinstance(node, ast.keyword):
        return node.arg == "strict"
    reshapes = isinstance(within, ast.Call) and isinstance(within.func, ast.Attribute) and within.func.attr == "reshape"
    return reshapes and isinstance(node, ast.UnaryOp)


def _end(node: ast.AST) -> int:
    return node.end_lineno or node.lineno
