import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from small_imagenet import Ilsvrc2012, jpeg

from deepres.data.cifar10 import Cifar10, load_sample
from deepres.training.state import RunState

# A busy machine is no defect.
hypothesis.settings.register_profile("deepres", deadline=None)
hypothesis.settings.load_profile("deepres")

# Tests run side by side, one process a core.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# PyTorch looks once, at the process's first product on a GPU, whether cuBLAS will be deterministic,
# and a test that does not ask for that may be first.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    no_network = pytest.mark.skip(reason="fetches 139 MB; set DEEPRES_TEST_NETWORK=1 to run it")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if "network" in item.keywords and os.environ.get("DEEPRES_TEST_NETWORK") != "1":
            item.add_marker(no_network)


@pytest.fixture(autouse=True)
def determinism_as_before() -> Iterator[None]:
    """Runs ask PyTorch for it and leave it so; what the next test tests must not depend on that."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def on_each_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[RunState], None]], None]:
    """Call a function after each step that a run takes, from now on."""
    true_record = RunState.record

    def arm(call: Callable[[RunState], None]) -> None:
        def record(state: RunState, outcome: torch.Tensor) -> None:
            true_record(state, outcome)
            call(state)

        monkeypatch.setattr(RunState, "record", record)

    return arm


@pytest.fixture
def interrupt_after(
    on_each_step: Callable[[Callable[[RunState], None]], None],
) -> Callable[[int], None]:
    """Send this process a SIGTERM in the middle of the step with a number, once."""

    def arm(step: int) -> None:
        sent: list[int] = []

        def interrupt(state: RunState) -> None:
            if state.step == step and not sent:
                sent.append(step)
                os.kill(os.getpid(), signal.SIGTERM)

        on_each_step(interrupt)

    return arm


@pytest.fixture(scope="session")
def sample() -> Cifar10:
    return load_sample()


@pytest.fixture(scope="session")
def imagenet_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """250 real ImageNet photographs, where the tester has them."""
    folder = real_data("imagenet-sample", "imagenet-sample", tmp_path_factory)
    assert len([*folder.rglob("*.JPEG")]) == 250  # tests go through them
    return folder


@pytest.fixture(scope="session")
def two_tiny_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of Tiny-ImageNet, 40 and 10 images of each, where the tester has it."""
    root, wnids = "tiny-imagenet-200", ("n01443537", "n01629819")
    archive = archive_of("tiny-imagenet-sample", root)
    folder = tmp_path_factory.mktemp("tiny-imagenet")
    trained = [f"{wnid}/images/{wnid}_{i}.JPEG" for wnid in wnids for i in range(40)]
    wanted = [f"{root}/train/{name}" for name in trained]
    wanted += [f"{root}/train/{wnid}/{wnid}_boxes.txt" for wnid in wnids]
    with tarfile.open(archive) as tar:
        listed = tar.extractfile(f"{root}/val/val_annotations.txt").read().decode()
        lines = [line for line in listed.splitlines(True) if line.split("\t")[1] in wnids][:20]
        wanted += [f"{root}/val/images/{line.split()[0]}" for line in lines]
        members = {member.name: member for member in tar}
        tar.extractall(folder, [members[name] for name in wanted if name in members], filter="data")
    (folder / root / "val/val_annotations.txt").write_text("".join(lines))
    return folder / root


@pytest.fixture(scope="session")
def voc2012_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VOCdevkit with 60 + 40 images of VOC 2012, where the tester has them."""
    return real_data("VOCdevkit", "voc2012-sample", tmp_path_factory)


@pytest.fixture(scope="session")
def coco_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 + 100 images of COCO 2017, where the tester has them."""
    return real_data("coco-sample", "coco-sample", tmp_path_factory)


@pytest.fixture(scope="session")
def bccd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """364 images of blood cells in VOC's layout, where the tester has them."""
    return real_data("bccd", "bccd", tmp_path_factory) / "BCCD"


def real_data(name: str, archive: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the tester's data, unpacked if need be."""
    given = Path(os.environ.get("DEEPRES_TEST_DATA", ""))
    if (given / name).is_dir():
        return given / name
    folder = tmp_path_factory.mktemp(name)
    with tarfile.open(archive_of(archive, name)) as tar:
        tar.extractall(folder, filter="data")
    return folder / name


def archive_of(archive: str, name: str) -> Path:
    """Return the tester's archive of data called ``name``; without one, the test is skipped."""
    path = Path(os.environ.get("DEEPRES_TEST_DATA", "")) / f"{archive}.tar"
    if not path.is_file():
        pytest.skip(f"set DEEPRES_TEST_DATA to a folder with {name}, or {archive}.tar")
    return path


@pytest.fixture
def ilsvrc2012(tmp_path: Path) -> Ilsvrc2012:
    """Three classes of 4, 5 and 6 training images, and 2 for validation each."""
    train = {
        wnid: {f"{wnid}_{7 * k}.JPEG": jpeg(100 * each + k) for k in range(each)}
        for wnid, each in (("n02000000", 4), ("n01000000", 5), ("n03000000", 6))
    }
    folder = tmp_path / "official"
    folder.mkdir()
    return Ilsvrc2012.make(folder, train, val_each=2)
