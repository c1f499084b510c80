"""Reads workflow code for what does not replay (`polos check`). Imports and runs nothing of it.

Workflow code is what runs on each replay: functions under ``@workflow``, functions that take a context and use its
``step``, and functions inside of both; not what they give to ``ctx.step.run``, the bodies of steps.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from polos.dev.lint_rules import (
    ENVIRONMENT,
    LOOPED,
    METHODS,
    SWALLOWS,
    TWICE,
    UNAWAITED,
    UNORDERED,
    UNUSED,
    Rule,
    rule_of,
)

_WAIVER = re.compile(r"#\s*polos:\s*ignore(?:\[([\w\s,-]*)\])?")
_NO_STEPS = frozenset({"trace"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to look at: where, and which rule. Lines and columns from 1."""

    path: str
    line: int
    column: int
    rule: Rule = field(compare=False)
    what: str = ""

    @property
    def message(self) -> str:
        """What it is, why that matters, and what to write."""
        what = f"{self.what}: " if self.what else ""
        return f"{what}{self.rule.why}; {self.rule.instead}"


class CannotRead(Exception):
    """The source is no Python of this version."""


def lint(source: str, path: str) -> list[Finding]:
    """Returns what there is to say of a module, in the order of its lines. Raises `CannotRead`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise CannotRead(f"{path}:{line or 1}: {getattr(error, 'msg', error)}") from error
    module = _Module(tree, path)
    return sorted(_unwaived(set(module.findings()), source, path))


def _unwaived(found: set[Finding], source: str, path: str) -> Iterator[Finding]:
    waivers: dict[int, set[str] | None] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (match := _WAIVER.search(token.string)):
            codes = match.group(1)
            waivers[token.start[0]] = None if codes is None else {code.strip() for code in codes.split(",")}
    used = set()
    for finding in found:
        codes = waivers.get(finding.line, set())
        if codes is None or finding.rule.code in codes or finding.rule.name in codes:
            used.add(finding.line)
        else:
            yield finding
    for line in waivers.keys() - used:
        yield Finding(path, line, 1, UNUSED)


class _Module:
    """One module: its imports, and the functions in it that are workflow code."""

    def __init__(self, tree: ast.Module, path: str) -> None:
        self.path = path
        self._tree = tree
        self._names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._names[alias.asname or name] = name
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node: ast.expr) -> str:
        """Returns the full name of what an expression names, or nothing."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._names.get(node.id, node.id), *reversed(parts)])

    def findings(self) -> Iterator[Finding]:
        for node in ast.walk(self._tree):
            if isinstance(node, _Function) and (context := self._context_of(node)):
                yield from _Code(self, node, context).findings()

    def _context_of(self, function: _Function) -> str:
        """Returns the name of the context in a function that is workflow code, else nothing."""
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        for decorator in function.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self.dotted(target) in ("polos.workflow", "polos.authoring.workflow.workflow") and arguments:
                return arguments[0].arg
        if isinstance(function, ast.AsyncFunctionDef):
            for argument in arguments:
                if any(_step_of(node, argument.arg) for node in ast.walk(function)):
                    return argument.arg
        return ""


def _step_of(node: ast.AST, context: str) -> str:
    """Returns the method of a call ``ctx.step.method(...)``, else nothing."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    step = node.func.value
    if isinstance(step, ast.Attribute) and step.attr == "step" and isinstance(step.value, ast.Name):
        return node.func.attr if step.value.id == context else ""
    return ""


@dataclass(frozen=True, slots=True)
class _Key:
    """A step call with a literal key, and the branches that lead to it."""

    text: str
    node: ast.Call
    branches: tuple[tuple[ast.AST, str, bool], ...]


class _Code:
    """The code of one workflow function."""

    def __init__(self, module: _Module, function: _Function, context: str) -> None:
        self._module, self._function, self._context = module, function, context
        self._bodies = {
            argument.id
            for node in ast.walk(function) if isinstance(node, ast.Call) and _step_of(node, context) == "run"
            for argument in (*node.args[1:2], *(word.value for word in node.keywords if word.arg == "fn"))
            if isinstance(argument, ast.Name)
        }  # fmt: skip
        self._found: list[Finding] = []
        self._keys: list[_Key] = []

    def findings(self) -> list[Finding]:
        """Returns all findings of the function; those of functions in it, too, but for bodies of steps."""
        for statement in self._function.body:
            self._visit(statement, (), ())
        for index, key in enumerate(self._keys):
            if any(other.text == key.text and not _exclude(other, key) for other in self._keys[:index]):
                self._add(key.node, TWICE, repr(key.text))
        return self._found

    def _add(self, node: ast.AST, rule: Rule, what: str = "") -> None:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        self._found.append(Finding(self._module.path, line, column, rule, what))

    def _visit(
        self, node: ast.AST, loops: tuple[ast.AST, ...], branches: tuple[tuple[ast.AST, str, bool], ...]
    ) -> None:
        if isinstance(node, _Function):
            if node.name in self._bodies:
                return
            loops = ()  # how often it is called is not known
        self._look(node, loops, branches)
        for name, value in ast.iter_fields(node):
            inner_loops, inner = loops, branches
            if isinstance(node, _LOOPS) and name not in ("iter", "generators", "orelse"):
                inner_loops = (*loops, node)
            if isinstance(node, ast.If | ast.IfExp | ast.Try | ast.Match) and isinstance(value, list):
                inner = (*branches, (node, name, _ends(value)))
            for index, child in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(child, ast.AST) or self._is_body(node, child):
                    continue
                at = inner
                if isinstance(child, ast.match_case | ast.ExceptHandler):
                    at = (*branches, (node, f"{name} {index}", _ends(child.body)))
                self._visit(child, inner_loops, at)

    def _is_body(self, node: ast.AST, child: ast.AST) -> bool:
        return isinstance(child, ast.Lambda) and _step_of(node, self._context) == "run"

    def _look(self, node: ast.AST, loops: Sequence[ast.AST], branches: tuple[tuple[ast.AST, str, bool], ...]) -> None:
        if isinstance(node, ast.Expr) and (method := _step_of(node.value, self._context)) and method not in _NO_STEPS:
            self._add(node, UNAWAITED, f"ctx.step.{method}")
        elif isinstance(node, ast.Call):
            self._call(node, loops, branches)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and self._is_set(node.iter):
            self._add(node.iter, UNORDERED)
        elif isinstance(node, ast.Subscript) and self._module.dotted(node.value) == "os.environ":
            self._add(node, ENVIRONMENT, "os.environ")
        elif isinstance(node, ast.ExceptHandler) and self._swallows(node):
            self._add(node, SWALLOWS, "except" if node.type is None else ast.unparse(node.type))

    def _call(self, node: ast.Call, loops: Sequence[ast.AST], branches: tuple[tuple[ast.AST, str, bool], ...]) -> None:
        method = _step_of(node, self._context)
        if method and method not in _NO_STEPS:
            key = next((word.value for word in node.keywords if word.arg == "key"), node.args[0] if node.args else None)
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._keys.append(_Key(key.value, node, branches))
                if loops and not _leaves(loops[-1], node):
                    self._add(node, LOOPED, repr(key.value))
            return
        dotted = self._module.dotted(node.func)
        rule = rule_of(dotted) if dotted else None
        if rule is None and isinstance(node.func, ast.Attribute):
            rule = METHODS.get(node.func.attr)
        if rule is not None:
            self._add(node, rule, f"{ast.unparse(node.func)}()")

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return self._module.dotted(node.func) in ("set", "frozenset")
        return isinstance(node, ast.Set | ast.SetComp)

    def _swallows(self, node: ast.ExceptHandler) -> bool:
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type] if node.type else []
        names = {self._module.dotted(one) for one in caught}
        if node.type is not None and not names & {"BaseException", "asyncio.CancelledError"}:
            return False
        return not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))


def _ends(body: Sequence[ast.AST]) -> bool:
    """Tells whether nothing after these statements is reached."""
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def _exclude(one: _Key, other: _Key) -> bool:
    """Tells whether only one of two calls can be reached in one pass."""
    ways = {node: (way, ends) for node, way, ends in other.branches}
    for node, way, ends in one.branches:
        if node not in ways:
            if ends and isinstance(node, ast.If):
                return True  # it returns, and the other one stands behind
        elif ways[node][0] != way and not (isinstance(node, ast.Try) and not _are_handlers(way, ways[node][0])):
            return True
    return False


def _are_handlers(one: str, other: str) -> bool:
    return one.startswith("handlers") and other.startswith("handlers")


def _leaves(loop: ast.AST, call: ast.Call) -> bool:
    """Tells whether the block with the call in it leaves the loop, so that it is reached once."""
    for node in ast.walk(loop):
        for name in ("body", "orelse", "finalbody"):
            block: Any = getattr(node, name, None)
            leaves = isinstance(block, list) and block and isinstance(block[-1], ast.Return | ast.Break | ast.Raise)
            if leaves and any(_holds(statement, call) for statement in block):
                return True
    return False


def _holds(statement: ast.AST, call: ast.Call) -> bool:
    return any(node is call for node in ast.walk(statement))
