"""tools/readme_pictures.py: which runs README's pictures are of."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pictures_are_of_the_runs_in_results() -> None:
    drawn = runpy.run_path(str(ROOT / "tools/readme_pictures.py"))["pictures"]()
    shown = {path.name: path.read_text() for path in (ROOT / "docs/images").glob("*.svg")}
    assert {name: _numbers(picture) for name, picture in drawn.items()} == {
        name: _numbers(picture) for name, picture in shown.items()
    }
    for name, picture in shown.items():
        assert ("8,000" in _numbers(picture)) == ("one-eighth" in name), name


def _numbers(picture: str) -> list[str]:
    """Return the numbers at the axes of a picture, and those that curves end with."""
    return re.findall(r">([\d,.]+)</text>", picture)
