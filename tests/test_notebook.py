"""examples/degradation.ipynb: what is kept of it, and that it runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="deepres[test] brings it")
nbclient = pytest.importorskip("nbclient", reason="deepres[test] brings it")

NOTEBOOK = Path(__file__).parent.parent / "examples/degradation.ipynb"
STEPS = "DEEPRES_NOTEBOOK_STEPS"
MOST_BYTES = 300_000


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> Iterator[tuple[int, str]]:
    """What each cell of code has put out: streams by their name, all else by its richest type."""
    for i, cell in enumerate(code(notebook)):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield i, output.name
            elif output.output_type == "error":
                yield i, output.ename
            else:
                yield i, next(kind for kind in output.data if kind != "text/plain")


def test_what_is_kept_of_it_is_one_whole_run_and_small() -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert {kind for _, kind in outputs(notebook)} == {"image/png", "text/markdown", "stdout"}
    assert STEPS in cells[0].source


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv(STEPS, "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kept = list(outputs(notebook))
    here = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    assert list(outputs(notebook)) == kept
    table = code(notebook)[-1].outputs[0].data["text/markdown"].splitlines()
    assert [row.split(" | ")[0] for row in table[2:6]] == [
        *("| plain-20", "| plain-44", "| ResNet-20", "| ResNet-44")
    ]
