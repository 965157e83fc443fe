"""Draw README's learning curves: python tools/readme_pictures.py.

From results/ into docs/images/.
"""

from pathlib import Path

from deepres.report.best_curves import best_curves
from deepres.report.pictures import svg_text
from deepres.report.runs import find_runs

ROOT = Path(__file__).parent.parent
IN_ONE_EIGHTH = 8_000
"""Steps of the paper's 64,000."""

if __name__ == "__main__":
    runs = find_runs([ROOT / "results"])
    for ending, chosen in (
        ("", runs),
        ("-in-one-eighth", [run for run in runs if run.steps == IN_ONE_EIGHTH]),
    ):
        found = best_curves(chosen)
        assert found, "results/ has no runs to draw"
        for heading, figure in found.panels.items():
            name = heading.lower().replace(" ", "-") + ending
            path = ROOT / "docs/images" / f"{name}.svg"
            path.write_text(svg_text(figure))
            print(path)
