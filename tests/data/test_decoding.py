import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from small_imagenet import jpeg

from deepres.data import decoding
from deepres.data.decoding import undecodable
from deepres.errors import UserError


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """150 pictures in two folders, enough for two processes."""
    for i in range(150):
        path = tmp_path / "ab"[i % 2] / f"{i:03}.JPEG"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg(i))
    return [tmp_path / "a", tmp_path / "b"]


def test_damaged_images_are_listed(folders: list[Path]) -> None:
    a, b = folders
    Image.effect_noise((200, 200), 50).save(a / "004.JPEG")
    (a / "004.JPEG").write_bytes((a / "004.JPEG").read_bytes()[:2_000])
    Image.new("RGB", (8, 8)).save(a / "006.JPEG", "PNG")  # one official file is a PNG
    Image.new("CMYK", (8, 8)).save(b / "007.JPEG")  # and some are CMYK
    (b / "149.JPEG").write_text("hello")
    (b / "notes.txt").write_text("no image, and not taken for one")
    first, second = undecodable(folders, ".JPEG")
    assert first.startswith(f"{a}/004.JPEG cannot be decoded (")
    assert second == f"{b}/149.JPEG is not an image that can be read"


def test_no_images_are_no_problem(tmp_path: Path) -> None:
    assert undecodable([tmp_path], ".JPEG") == []
    assert undecodable([], ".JPEG") == []


def test_no_process_outlives_its_parent(folders: list[Path]) -> None:
    """A pool's own processes would wait for ever for one that was killed."""
    program = """
import os, signal, sys
from deepres.data import decoding
from pathlib import Path
def kill(self, done, note=""):
    print(*(p.pid for p in decoding.multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
decoding.Progress.update = kill
decoding.undecodable([Path(p) for p in sys.argv[1:]], ".JPEG")
"""
    command = [sys.executable, "-c", program, str(folders[0])]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == -signal.SIGKILL, answer.stderr
    processes = [int(number) for number in answer.stdout.split()]
    assert processes
    for _ in range(200):
        if not any(is_running(number) for number in processes):
            return
        time.sleep(0.05)
    pytest.fail("still there after ten seconds")


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_killed_process_is_one_error(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "start_worker", functools.partial(os._exit, 1))
    with pytest.raises(UserError, match=r"was killed after 0 of 150 images, most likely as memory"):
        undecodable(folders, ".JPEG")
