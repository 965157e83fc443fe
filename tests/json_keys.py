"""What JSON on the command line promises: its keys are those that docs/commands.md names."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parent.parent / "docs/commands.md").read_text()
DOCUMENTED = set(re.findall("`(.*?)`", PAGE.partition("\n## JSON\n")[2].partition("\n## ")[0]))
ELSEWHERE = {"recipe", "deviations", "result", "provenance"}
"""Their keys are a run folder's."""


def assert_documented(content: Any) -> None:
    if isinstance(content, dict):
        assert content.keys() <= DOCUMENTED
        for key in content.keys() - ELSEWHERE:
            assert_documented(content[key])
    elif isinstance(content, list):
        for each in content:
            assert_documented(each)
