import json
from pathlib import Path

import pytest
import torch

from deepres.speed.profile import CALLS, profile


def test_what_costs_most_comes_first_and_the_trace_holds_it(tmp_path: Path) -> None:
    a = torch.randn(600, 600)
    path = tmp_path / "new/trace.json"

    def work() -> None:
        torch.relu(a @ a @ a)

    costs = profile(work, torch.device("cpu"), path)
    assert costs[0].name == "aten::mm"
    assert {cost.name: cost.calls for cost in costs}["aten::relu"] == 1
    assert costs[0].calls == 2
    assert sum(cost.share for cost in costs) == pytest.approx(1)
    assert [cost.seconds for cost in costs] == sorted((c.seconds for c in costs), reverse=True)
    events = json.loads(path.read_text())["traceEvents"]
    assert sum(event.get("name") == "aten::mm" for event in events) == 2 * CALLS
