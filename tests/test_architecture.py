"""The shape of the code: layers, sizes, and what may stand where."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "exporter" / "celeriac"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(file.relative_to(PACKAGE)) for file in FILES]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_MEDIAN_LINES = 8
MAX_CONSTRUCTOR_ARGUMENTS = 5
Function = ast.FunctionDef | ast.AsyncFunctionDef

# The demo's workers are an application of their own, and its processes inherit their environment.
FILES_BUT_THE_DEMO = [file for file in FILES if "demo" not in file.relative_to(PACKAGE).parts]

every_file_but_the_demo = pytest.mark.parametrize(
    "file",
    FILES_BUT_THE_DEMO,
    ids=[str(file.relative_to(PACKAGE)) for file in FILES_BUT_THE_DEMO],
)
every_file = pytest.mark.parametrize("file", FILES, ids=NAMES)


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(file: Path) -> Iterator[Function]:
    for node in ast.walk(tree(file)):
        if isinstance(node, Function):
            yield node


def lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def calls(file: Path, *names: str) -> list[int]:
    """Return the lines in which one of *names* is called."""
    called = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
    return [node.lineno for node in called if ast.unparse(node.func) in names]


def test_imports_point_down_the_layers() -> None:
    # In a process of its own: import-linter disables every logger that exists.
    run = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", run, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@every_file
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@every_file
def test_no_function_is_long(file: Path) -> None:
    long = {f.name: lines(f) for f in functions(file) if lines(f) > MAX_FUNCTION_LINES}
    assert long == {}


def test_the_median_function_is_short(record_property: pytest.RecordProperty) -> None:
    sizes = [lines(function) for file in FILES for function in functions(file)]
    record_property("functions", len(sizes))
    record_property("median_function_lines", median(sizes))
    assert median(sizes) <= MAX_MEDIAN_LINES


@every_file
def test_no_constructor_takes_many_arguments(file: Path) -> None:
    many = {
        function.lineno: len(function.args.args) - 1 + len(function.args.kwonlyargs)
        for function in functions(file)
        if function.name == "__init__"
    }
    assert {line: count for line, count in many.items() if count > MAX_CONSTRUCTOR_ARGUMENTS} == {}


@every_file_but_the_demo
def test_the_environment_is_read_by_the_command_line_only(file: Path) -> None:
    if file.name in {"settings.py", "cli.py"}:
        return
    reads = [
        node.lineno
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and _imports_environ(node))
    ]
    assert reads == []


def _imports_environ(node: ast.ImportFrom) -> bool:
    return any(alias.name in {"environ", "environb", "getenv"} for alias in node.names)


@every_file
def test_nothing_is_printed(file: Path) -> None:
    assert calls(file, "print", "builtins.print", "sys.stdout.write") == []


@every_file_but_the_demo
def test_only_one_module_makes_an_app(file: Path) -> None:
    assert (calls(file, "Celery", "celery.Celery") != []) is (file.name == "celery_app.py")


@every_file
def test_nothing_is_unpickled(file: Path) -> None:
    dangerous = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    imported = {
        name
        for node in ast.walk(tree(file))
        for name in _imported(node)
        if name.partition(".")[0] in dangerous
    }
    assert imported == set()
    assert calls(file, "eval", "exec") == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@every_file
def test_imports_are_plain(file: Path) -> None:
    names = {node.id for node in ast.walk(tree(file)) if isinstance(node, ast.Name)}
    assert "TYPE_CHECKING" not in names


@every_file
def test_every_module_says_what_it_knows(file: Path) -> None:
    if file.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(file))
