"""Data flows one way: a package imports only from those above it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src/deepres"

# What all tests may count on: what deepres needs, what that brings, and what most of them take.
NEEDED = {
    *("torch", "numpy", "PIL", "rich", "matplotlib", "fontTools", "safetensors", "jinja2", "scipy"),
    *("pytest", "hypothesis", "torchvision"),
}

# Under everything, and among themselves in this order too.
FOUNDATIONS = [
    *(
        "errors",
        "visible",
        "fonts",
        "json_shape",
        "torch_errors",
        "renamed",
        "recipe_words",
        "kinds",
        "extras",
        "files",
        "runtime",
        "compiled",
        "torchrun",
        "distributed",
        "provenance",
        "locks",
        "progress",
        "execution",
        "checkpoint",
        "run_contents",
        "event_log",
        "run_folder",
        "run_places",
        "run_weights",
        "network_diagram",
    ),
]
# Training evaluates as it goes, by a function that never sees the trainer.
FLOW = [
    *("recipes", "data", "models", "pretrained", "detection", "evaluation"),
    *("training", "speed", "report", "reproduction", "app", "cli"),
]
ORDER = [*FOUNDATIONS, *FLOW]


def imported(file: Path) -> set[str]:
    """The whole names of all that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(file: Path) -> set[str]:
    """The parts of deepres, and the other top-level packages, that a file imports."""
    names = imported(file)
    return {n.split(".")[1] if n.startswith("deepres.") else n.split(".")[0] for n in names}


def files_of(part: str) -> list[Path]:
    return (
        [PACKAGE / f"{part}.py"] if part in FOUNDATIONS else sorted((PACKAGE / part).rglob("*.py"))
    )


@pytest.mark.parametrize("part", ORDER)
def test_imports_run_with_the_flow(part: str) -> None:
    above = set(ORDER[: ORDER.index(part) + 1])
    for file in files_of(part):
        against = (imports(file) & {*ORDER, "deepres"}) - above
        assert not against, f"{file.relative_to(PACKAGE)} imports from below: {against}"


def test_every_part_has_its_place() -> None:
    parts = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith("__") and p.stem != "py"}
    assert parts == set(ORDER)


def modules(file: Path) -> set[Path]:
    """The files of deepres that run when another of its files is imported, but its first one."""
    parts = [name.split(".")[1:] for name in imported(file) if name.startswith("deepres.")]
    paths = {PACKAGE.joinpath(*each[:count]) for each in parts for count in range(1, len(each) + 1)}
    files = {path / "__init__.py" for path in paths} | {path.with_suffix(".py") for path in paths}
    return {each for each in files if each.exists()}


def test_reports_are_drawn_from_files_alone() -> None:
    """Nothing that they import, directly or not, imports torch or a model."""
    reached: set[Path] = set()
    waiting = {*files_of("report")}
    while waiting:
        file = waiting.pop()
        reached.add(file)
        assert "torch" not in imports(file), file
        waiting |= modules(file) - reached
    parts = {file.relative_to(PACKAGE).parts[0] for file in reached}
    torchless = {
        "network_diagram",
        "run_weights",
        "run_folder",
        "run_places",
        "event_log",
        "run_contents",
        "files",
        "locks",
        "json_shape",
        "renamed",
        "recipe_words",
        "kinds",
        "visible",
        "fonts",
        "errors",
    }
    assert parts == {"report", "recipes", "data", *(f"{each}.py" for each in torchless)}


def imported_at_once(file: Path) -> Iterator[str]:
    """The top-level packages that a test module imports before it asks whether they are there."""
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Assign | ast.Expr) and "importorskip" in ast.dump(statement):
            return
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield str(statement.module).partition(".")[0]


def test_a_package_that_is_missing_stops_no_other_tests() -> None:
    known = {*sys.stdlib_module_names, *NEEDED, "deepres", *(path.stem for path in TESTS.iterdir())}
    found = {
        str(file.relative_to(TESTS)): unguarded
        for file in TESTS.rglob("*.py")
        if (unguarded := {*imported_at_once(file)} - known)
    }
    assert not found, "pytest.importorskip comes first, or the import stands in a function"
