"""Draw README's learning curves: python tools/readme_pictures.py.

From results/ into docs/images/.
"""

from pathlib import Path

from deepres.report.best_curves import best_curves
from deepres.report.pictures import svg_text
from deepres.report.runs import find_runs

ROOT = Path(__file__).parent.parent

if __name__ == "__main__":
    found = best_curves(find_runs([ROOT / "results"]))
    assert found, "results/ has no runs to draw"
    for heading, figure in found.panels.items():
        path = ROOT / "docs/images" / f"{heading.lower().replace(' ', '-')}.svg"
        path.write_text(svg_text(figure))
        print(path)
