import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepres.checkpoint import load_checkpoint, save_checkpoint
from deepres.errors import UserError
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.weights import write_weights

SIZE = 64 << 20
READ_WITH_LITTLE_MEMORY = f"""
import resource
import sys
from pathlib import Path

from deepres.checkpoint import load_checkpoint
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.weights import read_weights
from deepres.torch_errors import MEMORY_FULL, in_words

READERS = load_checkpoint, read_state_dict, read_weights
pages = int(Path("/proc/self/statm").read_text().split()[0])
for room in (0.2, 0.7, 1.2):
    limit = pages * resource.getpagesize() + int(room * {SIZE})
    resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
    for read, file in zip(READERS, map(Path, sys.argv[1:]), strict=True):
        try:
            read(file)
        except (RuntimeError, MemoryError) as error:
            if in_words(error) == MEMORY_FULL:
                print(room, file.name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit of a process's memory")
def test_short_memory_is_not_called_damage(tmp_path: Path) -> None:
    tensors = {"w": torch.zeros(SIZE // 4)}
    files = [tmp_path / name for name in ("checkpoint.pt", "others.pt", "model.safetensors")]
    save_checkpoint(files[0], {"model": tensors})
    torch.save(tensors, files[1])
    write_weights(files[2], tensors, {})
    run = [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, *files]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {f"0.2 {file.name}" for file in files} <= set(said)


@pytest.mark.parametrize("asked", [100, 1 << 40])
def test_what_asks_for_more_than_it_holds_is_damaged(
    asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        raise RuntimeError(f"{words} {asked} bytes. Error code 12 (Cannot allocate memory)")

    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"model": {"w": torch.zeros(100)}})
    monkeypatch.setattr(torch, "load", refuse)
    for read in (load_checkpoint, read_state_dict):
        with pytest.raises(RuntimeError if asked == 100 else UserError):
            read(file)
