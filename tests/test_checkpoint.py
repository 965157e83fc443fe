from pathlib import Path

import pytest
import torch

from deepres.checkpoint import (
    DamagedCheckpoint,
    digest_of,
    load_checkpoint,
    previous_of,
    save_checkpoint,
)

STATE = {
    "step": 3,
    "model": {"w": torch.arange(1000.0), "half": torch.ones(3, dtype=torch.bfloat16)},
    "nested": [{"momentum": None}, (1, 2.5)],
}


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    loaded = load_checkpoint(path)
    assert loaded.keys() == STATE.keys()
    assert torch.equal(loaded["model"]["w"], STATE["model"]["w"])
    assert loaded["nested"] == STATE["nested"]


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for step in (1, 2, 3):
        save_checkpoint(path, {"step": step})
    assert load_checkpoint(path)["step"] == 3
    assert load_checkpoint(previous_of(path))["step"] == 2


def test_any_cut_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCheckpoint, match=r"checkpoint\.pt is damaged"):
            load_checkpoint(path)


def test_any_flipped_bit_is_detected_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    detected = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            loaded = load_checkpoint(path)
        except DamagedCheckpoint:
            detected += 1
        else:  # it hit padding between the parts of the archive
            assert torch.equal(loaded["model"]["w"], STATE["model"]["w"])
            assert loaded["step"] == 3
    assert detected > 4000 // 7 * 0.9  # at least every hit on the 4,000 bytes of w


def test_the_digest_is_of_all_that_there_is() -> None:
    """A bit that is flipped can change a tensor's shape or type, or a number in a list."""
    six = torch.zeros(6)
    states = [six, six.view(2, 3), six.int(), [[1], 2], [[1, 2]], [[1], 3], {"lr": [0.1]}]
    assert len({digest_of({"model": state}) for state in states}) == len(states)


def test_short_memory_says_nothing_about_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)

    def load(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(MemoryError):
        load_checkpoint(path)


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"sha256": "", "code": Path}, path)
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(path)


def test_a_system_error_says_nothing_about_the_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        load_checkpoint(path)
