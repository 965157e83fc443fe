"""Data flows one way: a package imports only from those above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src/deepres"

# Under everything; among themselves in this order too.
FOUNDATIONS = ["runtime", "files", "progress", "checkpoint", "run_folder"]
FLOW = ["recipes", "data", "models", "training", "evaluation", "report", "cli"]
# Training evaluates as it goes, through a function that never sees the trainer.
FLOW.remove("evaluation")
FLOW.insert(FLOW.index("training"), "evaluation")
ORDER = [*FOUNDATIONS, *FLOW]


def imports(file: Path) -> set[str]:
    """The parts of deepres, and the other top-level packages, that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module)
    return {n.split(".")[1] if n.startswith("deepres.") else n.split(".")[0] for n in names}


@pytest.mark.parametrize("part", ORDER)
def test_imports_run_with_the_flow(part: str) -> None:
    files = [PACKAGE / f"{part}.py"] if part in FOUNDATIONS else (PACKAGE / part).rglob("*.py")
    above = set(ORDER[: ORDER.index(part) + 1])
    for file in files:
        against = imports(file) & set(ORDER) - above
        assert not against, f"{file.relative_to(PACKAGE)} imports from below: {against}"


def test_every_part_has_its_place() -> None:
    parts = {p.stem for p in PACKAGE.iterdir() if not p.name.startswith("__") and p.stem != "py"}
    assert parts == set(ORDER)


def test_reports_are_drawn_from_files_alone() -> None:
    for file in (PACKAGE / "report").rglob("*.py"):
        forbidden = {"torch", "models", "training", "evaluation", "data"}
        assert not imports(file) & forbidden, file
