"""Draw README's learning curves: python tools/readme_pictures.py.

From results/ into docs/images/.
"""

from pathlib import Path

from deepres.report.best_curves import best_curves
from deepres.report.pictures import svg_text
from deepres.report.read_runs import find_runs

ROOT = Path(__file__).parent.parent
LENGTHS = {64_000: "", 8_000: "-in-one-eighth"}
"""Steps of the runs that are drawn, each with what its pictures' names end in."""


def pictures() -> dict[str, str]:
    """Return the content of each SVG file by its name."""
    runs = find_runs([ROOT / "results"])
    found = {}
    for steps, ending in LENGTHS.items():
        curves = best_curves(run for run in runs if run.steps == steps)
        assert curves, f"results/ has no runs of {steps:,} steps to draw"
        for heading, figure in curves.panels.items():
            found[f"{heading.lower().replace(' ', '-')}{ending}.svg"] = svg_text(figure)
    return found


if __name__ == "__main__":
    for name, content in pictures().items():
        path = ROOT / "docs/images" / name
        path.write_text(content)
        print(path)
