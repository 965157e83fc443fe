import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from deepres.errors import UserError
from deepres.models import Classifier, build_network, load_classifier
from deepres.pretrained.store import kept_as_ours


def test_what_two_want_at_once_is_made_once(hub_folder: Path) -> None:
    began, goes_on, made, found = threading.Event(), threading.Event(), [], []

    def make() -> tuple[Classifier, dict[str, Any]]:
        made.append(threading.current_thread().name)
        began.set()
        assert goes_on.wait(30)
        network = build_network("resnet8")
        return Classifier(network, torch.rand(3, 1, 1), tuple("abcdefghij")), {"source": "test"}

    threads = [
        threading.Thread(target=lambda: found.append(kept_as_ours("a", make))) for _ in range(2)
    ]
    threads[0].start()
    assert began.wait(30)
    threads[1].start()
    threads[1].join(0.1)  # it has come as far as it gets
    goes_on.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found[0] == found[1]
    assert load_classifier(found[0]).classes == tuple("abcdefghij")


def test_a_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.hub._hub_dir", "/proc/nowhere")
    with pytest.raises(UserError, match="cannot write /proc/nowhere/deepres"):
        kept_as_ours("a", lambda: pytest.fail("nothing is to be made"))
