"""Small faults in Python source: what `mutation.py` samples from. Knows nothing of Keras.

A mutant is a piece of source in place of another: a comparison turned, an operand's sign, a constant one higher, a
condition denied, a named argument left out, a statement skipped, a result forgotten.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARED = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_COMBINED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
_WORDS = {"PruneError", "raise_faults", "warn", "__all__"}  # what these say is text for people


Lines = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Args:
        path: The file, below the package's parent folder.
        kind: What sort of fault it is.
        line: Where it begins, from 1.
        statement: First and last line of the statement around it; of its head, where it holds others.
        scope: First and last line of the function or class around it; of the file where there is none.
        before: The source that is replaced.
        after: The source in its place.
        source: The whole file with the fault.
    """

    path: str
    kind: str
    line: int
    statement: Lines
    scope: Lines
    before: str
    after: str
    source: str


def mutants(path: Path, root: Path) -> list[Mutant]:
    """Returns all mutants of a file, in the order of its lines."""
    source = path.read_text()
    tree = ast.parse(source)
    starts = [0]  # of the lines, in bytes, as `ast` counts
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    raw, whole = source.encode(), (1, len(starts))
    for node, kind, after, statement, scope in _faults(tree, whole, whole):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = raw[begin:end].decode()
        changed = (raw[:begin] + after.encode() + raw[end:]).decode()
        where = str(path.relative_to(root))
        found.append(Mutant(where, kind, node.lineno, statement, scope, before, after, changed))
    return sorted(found, key=lambda each: (each.line, each.kind, each.after))


def _faults(node: ast.AST, statement: Lines, scope: Lines) -> Iterator[tuple[ast.AST, str, str, Lines, Lines]]:
    """Yields what is replaced, the kind of fault, the source in its place, and the lines around it."""
    if isinstance(node, ast.stmt):
        statement = node.lineno, max(node.lineno, _head_end(node))
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        scope = min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.end_lineno
        statement = scope[0], statement[1]
    for kind, after in _of(node):
        yield node, kind, after, statement, scope
    if isinstance(node, (ast.If, ast.While)) and isinstance(node.test, (ast.Name, ast.Attribute, ast.Call)):
        yield node.test, "condition", f"not {_text(node.test)}", statement, scope
    for child in _children(node):
        yield from _faults(child, statement, scope)


def _head_end(node: ast.stmt) -> int:
    """Returns the last line of a statement, or of what stands before the statements inside it."""
    inside = getattr(node, "body", None) or getattr(node, "cases", None)
    if not inside:
        return node.end_lineno
    return inside[0].pattern.lineno - 1 if isinstance(inside[0], ast.match_case) else inside[0].lineno - 1


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the parts in which faults are looked for: no annotations, no docstrings, no messages."""
    if isinstance(node, ast.JoinedStr) or _is_words(node):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "bases") or name == "keywords" and _is_defensive(node):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _is_words(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    name = getattr(called, "id", getattr(called, "attr", None))
    return name in _WORDS or isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _of(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yields the faults of one node: their kind, and the source in its place."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield "comparison", f"{_text(left)} {_COMPARED[type(op)]} {_text(right)}"
        case ast.BoolOp(op=op, values=values):
            yield "boolean", f"({(' or ' if isinstance(op, ast.And) else ' and ').join(map(_text, values))})"
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield "operand left out", f"({_text(rest[0]) if len(rest) == 1 else _text(ast.BoolOp(op, rest))})"
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign", f"({_text(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMBINED and not _texts(left, right):
            yield "arithmetic", f"({_text(left)} {_COMBINED[type(op)]} {_text(right)})"
        case ast.Constant(value=bool(value)):
            yield "constant", str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", f"{value + 1}"
        case ast.Return(value=ast.expr() as value) if _text(value) != "None":
            yield "result forgotten", "return None"
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Raise():
            if not (isinstance(node, ast.Expr) and _is_words(node.value)):
                yield "statement left out", "pass"
        case ast.Subscript(value=value, slice=ast.Slice()):
            yield "slice left out", _text(value)
        case ast.Tuple(elts=items) | ast.List(elts=items) if len(items) > 1 and all(map(_is_name, items)):
            for index in range(len(items)):
                yield "item left out", _text(type(node)(items[:index] + items[index + 1 :], ast.Load()))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "condition", f"({_text(orelse)} if {_text(test)} else {_text(body)})"
        case ast.Call(func=called, args=given, keywords=named) if not _is_defensive(node):
            for index in range(len(named)):
                yield "argument left out", _text(ast.Call(called, given, named[:index] + named[index + 1 :]))


def _is_name(node: ast.AST) -> bool:
    """Whether an item is a word or the name of a class, as in tables; not one of several results."""
    return isinstance(node, ast.Attribute) or isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_defensive(node: ast.AST) -> bool:
    """`zip(…, strict=True)` notices what cannot happen; `field(repr=False)` and the like are seen by people only."""
    return getattr(getattr(node, "func", None), "id", None) in ("zip", "field", "dataclass")


def _texts(*nodes: ast.AST) -> bool:
    return any(isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str) for node in nodes)


def _text(node: ast.AST) -> str:
    return ast.unparse(node)
