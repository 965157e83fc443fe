import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torchvision.datasets.imagenet as reference
from small_imagenet import Ilsvrc2012, add, files_in, tar_of

from deepres.data import imagenet_archives
from deepres.data.imagenet import load_classes, verify_imagenet
from deepres.data.imagenet_archives import prepare_imagenet
from deepres.data.imagenet_devkit import read_devkit
from deepres.errors import UserError
from deepres.files import file_digest


def prepare(official: Ilsvrc2012, folder: Path, **options: bool) -> list[str]:
    """Prepare, and return what was said."""
    said: list[str] = []
    prepare_imagenet(official.folder, folder, said.append, expected=official.counts, **options)
    return said


def test_the_archives_become_folders_of_classes(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    for _ in range(2):
        assert prepare(ilsvrc2012, tmp_path / "new" / "imagenet") == []
        folder = tmp_path / "new" / "imagenet"
        assert files_in(folder) == ilsvrc2012.tree()
        assert {path.name for path in folder.iterdir()} == {
            *("train", "val", "test", "ilsvrc2012.json")
        }
        assert not list(folder.rglob(".*"))
        assert verify_imagenet(folder, ilsvrc2012.counts) == []
    classes = load_classes(folder)
    assert list(classes) == ["n01000000", "n02000000", "n03000000"]
    assert [each.id for each in classes.values()] == [3, 2, 1]
    assert classes["n01000000"].words == "thing 3, Res 3"
    assert classes["n01000000"].train_images == 5


# torchvision extracts in a way that Python 3.12 and 3.13 warn of.
@pytest.mark.filterwarnings("ignore:Python 3.14 will, by default:DeprecationWarning")
def test_the_development_kit_agrees_with_torchvisions_reading(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = {part: name for part, (name, _) in reference.ARCHIVE_META.items()}
    assert dict(reference.ARCHIVE_META.values()) == imagenet_archives.MD5
    digests = {
        part: (name, file_digest(ilsvrc2012.folder / name, "md5"))
        for part, name in archives.items()
    }
    monkeypatch.setattr(reference, "ARCHIVE_META", digests)
    prepare(ilsvrc2012, tmp_path / "imagenet")
    for part in ("train", "val"):
        theirs = reference.ImageNet(ilsvrc2012.folder, split=part)
        expected = [str(Path(path).relative_to(ilsvrc2012.folder)) for path, _ in theirs.imgs]
        ours = [path for path in files_in(tmp_path / "imagenet") if path.startswith(part)]
        assert ours == sorted(expected)


def test_a_kill_in_the_middle_is_resumed_to_the_same_tree(tmp_path: Path) -> None:
    train = {
        f"n{wnid:08}": {f"n{wnid:08}_{k}.JPEG": bytes([wnid, k]) * 8_000 for k in range(20)}
        for wnid in range(60)
    }
    (tmp_path / "official").mkdir()
    official = Ilsvrc2012.make(tmp_path / "official", train, val_each=1)
    prepare(official, tmp_path / "whole")
    assert files_in(tmp_path / "whole") == official.tree()

    program = (
        "import sys; from pathlib import Path\n"
        "from deepres.data.imagenet import Counts\n"
        "from deepres.data.imagenet_archives import prepare_imagenet\n"
        "source, folder, *counts = sys.argv[1:]\n"
        "counts = Counts(*map(int, counts))\n"
        "prepare_imagenet(Path(source), Path(folder), print, expected=counts)"
    )
    folder = tmp_path / "killed"
    counts = [str(number) for number in vars(official.counts).values()]
    command = [sys.executable, "-c", program, str(official.folder), str(folder), *counts]

    def complete() -> list[Path]:
        return sorted((folder / "train").glob("n*"))

    process = subprocess.Popen(command)
    while len(complete()) < 10:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_ino for path in complete()}
    assert 10 <= len(kept) < 60
    for path in kept:  # whatever has its name is whole
        assert {file.name: file.read_bytes() for file in path.iterdir()} == train[path.name]

    prepare(official, folder)
    assert files_in(folder) == official.tree()
    assert not list(folder.rglob(".*"))
    assert {path: path.stat().st_ino for path in kept} == kept  # these were not unpacked again


def test_a_half_written_file_is_written_again(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    half = tmp_path / "imagenet/train/.n01000000.part/n01000000_7.JPEG"
    half.parent.mkdir(parents=True)
    half.write_bytes(ilsvrc2012.train["n01000000"]["n01000000_7.JPEG"][:100])
    prepare(ilsvrc2012, tmp_path / "imagenet")
    assert files_in(tmp_path / "imagenet") == ilsvrc2012.tree()


@pytest.mark.parametrize("part", ["train", "val", "test_v10102019"])
def test_a_cut_anywhere_is_noticed_and_what_is_complete_stays(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path, part: str
) -> None:
    path, whole = ilsvrc2012.path(part), ilsvrc2012.path(part).read_bytes()
    with tarfile.open(path) as tar:
        starts = [member.offset for member in tar]
        end = tar.offset
    # Between members, in a header, in the data; within the last member; before the end's mark.
    for cut in (starts[2], starts[2] + 100, starts[2] + 600, end - 10, end):
        ilsvrc2012.write(part, whole[:cut])
        with pytest.raises(UserError, match=f"{path} is cut short or damaged .* Fetch it again"):
            prepare(ilsvrc2012, tmp_path / "imagenet")
    if part == "train":
        assert len(list((tmp_path / "imagenet/train").glob("n*"))) == 3  # only the mark was missing
    ilsvrc2012.write(part, whole)
    prepare(ilsvrc2012, tmp_path / "imagenet")
    assert files_in(tmp_path / "imagenet") == ilsvrc2012.tree()


def test_a_damaged_header_is_not_taken_for_the_end(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    content = bytearray(ilsvrc2012.path("train").read_bytes())
    inner = content.index(b"n01000000_14.JPEG")
    content[inner + 110] ^= 1
    ilsvrc2012.write("train", bytes(content))
    with pytest.raises(UserError, match=r"img_train\.tar is cut short or damaged"):
        prepare(ilsvrc2012, tmp_path / "imagenet")
    assert [path.name for path in sorted((tmp_path / "imagenet/train").iterdir())] == [
        *(".n01000000.part", "n02000000")
    ]


def test_hostile_members_stay_inside(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    """Paths out of the folder are cut to their last part; links and odd names are passed over."""
    image = next(iter(ilsvrc2012.train["n01000000"].values()))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, "../../../n01000000_1.JPEG", image)
        add(tar, f"{tmp_path}/n01000000_2.JPEG", image)
        add(tar, "../evil.JPEG", image)
        add(tar, "n02000000_3.JPEG", image)  # of another class
        links = {"n01000000_4.JPEG": tarfile.SYMTYPE, "n01000000_5.JPEG": tarfile.LNKTYPE}
        for name, kind in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "/etc/passwd"
            tar.addfile(link)
        add(tar, "n01000000_4.JPEG", image)
    outer = {f"{wnid}.tar": tar_of(images) for wnid, images in ilsvrc2012.train.items()}
    outer |= {"x/../n01000000.tar": buffer.getvalue(), "../n09999999.tar": tar_of({})}
    del outer["n01000000.tar"]
    ilsvrc2012.write("train", tar_of(outer))
    before = set(tmp_path.rglob("*"))
    said = prepare(ilsvrc2012, tmp_path / "imagenet")
    new = {path for path in tmp_path.rglob("*") if path not in before}
    assert all(path.is_relative_to(tmp_path / "imagenet") for path in new)
    names = [path.name for path in sorted((tmp_path / "imagenet/train/n01000000").iterdir())]
    assert names == ["n01000000_1.JPEG", "n01000000_2.JPEG", "n01000000_4.JPEG"]
    assert not any(path.is_symlink() for path in new)
    assert said == [
        "n01000000.tar: passed over 4 members that the official archive does not have, "
        "e.g. '../evil.JPEG'",
        "ILSVRC2012_img_train.tar: passed over 1 members that the official archive does not have, "
        "e.g. '../n09999999.tar'",
    ]


def test_folders_that_are_unpacked_already_are_prepared_in_place(ilsvrc2012: Ilsvrc2012) -> None:
    folder = ilsvrc2012.folder
    prepare(ilsvrc2012, folder)
    for path in list((folder / "val").glob("*/*.JPEG")):
        path.rename(folder / "val" / path.name)  # flat, as other tools leave them
    for path in list((folder / "val").glob("n*")):
        path.rmdir()
    for archive in folder.glob("ILSVRC2012_img*"):
        archive.unlink()
    # As if an earlier call had been killed after its first image.
    first, wnid = next((name, wnid) for wnid, part in ilsvrc2012.val.items() for name in part)
    (folder / "val" / wnid).mkdir()
    (folder / "val" / first).rename(folder / "val" / wnid / first)
    assert prepare(ilsvrc2012, folder) == []
    (folder / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    assert files_in(folder) == ilsvrc2012.tree()
    assert verify_imagenet(folder, ilsvrc2012.counts) == []


def test_a_class_that_was_deleted_is_unpacked_again(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    prepare(ilsvrc2012, tmp_path / "imagenet")
    for part in ("train", "val"):
        (tmp_path / "imagenet" / part / "n02000000").rename(tmp_path / f"old-{part}")
    prepare(ilsvrc2012, tmp_path / "imagenet")
    assert files_in(tmp_path / "imagenet") == ilsvrc2012.tree()


def test_images_that_an_interrupted_tar_left_out_are_filled_up(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path
) -> None:
    folder = tmp_path / "imagenet"
    (folder / "val").mkdir(parents=True)
    flat = {name: image for part in ilsvrc2012.val.values() for name, image in part.items()}
    for name in sorted(flat)[:4]:
        (folder / "val" / name).write_bytes(flat[name])
    # Class by class, and the last of a class that has all the others.
    last = sorted(flat)[4]
    (folder / "val" / last).write_bytes(flat[last][:100])
    (folder / "train/n01000000").mkdir(parents=True)
    name = "n01000000_7.JPEG"
    (folder / "train/n01000000" / name).write_bytes(ilsvrc2012.train["n01000000"][name][:100])
    (folder / "test").mkdir()
    for _ in range(2):
        assert prepare(ilsvrc2012, folder) == []
        assert files_in(folder) == ilsvrc2012.tree()
        assert not list(folder.rglob(".*"))
        (folder / "val/n02000000" / next(iter(ilsvrc2012.val["n02000000"]))).unlink()


def test_classes_of_the_users_own_images_are_left_alone(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path
) -> None:
    folder, away = tmp_path / "imagenet", tmp_path / "away"
    own = [folder / "val/n01000000/small.png", folder / "train/n01000000/images/n01000000_0.JPEG"]
    for path in own:
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
    away.mkdir()
    (folder / "train/n02000000").symlink_to(away)
    prepare(ilsvrc2012, folder)
    kept = [*(path for path in folder.rglob("*") if path.is_file() and "n01000000" in str(path))]
    assert sorted(kept) == sorted(own)
    assert list(away.iterdir()) == []


def test_what_is_missing_is_named(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    folder = tmp_path / "imagenet"
    ilsvrc2012.path("train").unlink()
    (ilsvrc2012.folder / "train").mkdir()
    with pytest.raises(UserError, match=r"no ILSVRC2012_img_train\.tar but a folder train.*--data"):
        prepare(ilsvrc2012, folder)
    (ilsvrc2012.folder / "train").rmdir()
    (said,) = prepare(ilsvrc2012, tmp_path / "without")  # enough to test networks
    assert "has no ILSVRC2012_img_train.tar: going on without these images" in said
    assert verify_imagenet(tmp_path / "without", ilsvrc2012.counts) == [
        f"{tmp_path}/without/train is missing, expected 15 images in 3 classes"
    ]
    ilsvrc2012.path("val").unlink()
    with pytest.raises(UserError, match=r"neither ILSVRC2012_img_val\.tar nor ILSVRC2012_img_tr"):
        prepare(ilsvrc2012, folder)
    (ilsvrc2012.folder / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    with pytest.raises(UserError, match=r"devkit_t12\.tar\.gz is missing: .* have no labels"):
        prepare(ilsvrc2012, folder)
    with pytest.raises(UserError, match=r"nowhere: no such folder; name the one that holds ILSVRC"):
        prepare_imagenet(tmp_path / "nowhere", folder, print)
    assert not folder.exists()


def test_checksums_are_compared_on_request(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(imagenet_archives.MD5)
    digests = {name: file_digest(ilsvrc2012.folder / name, "md5") for name in names}
    monkeypatch.setattr(imagenet_archives, "MD5", digests)
    prepare(ilsvrc2012, tmp_path / "imagenet", check_md5=True)
    monkeypatch.setitem(digests, "ILSVRC2012_img_val.tar", "00")
    with pytest.raises(UserError, match=r"img_val\.tar is damaged: its md5 is .*, expected 00"):
        prepare(ilsvrc2012, tmp_path / "other", check_md5=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_error(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    full = tmp_path / "imagenet/train/.n01000000.part/n01000000_0.JPEG"

    def on_a_full_disk(path: str, flags: int) -> int:
        return os.open("/dev/full" if Path(path) == full else path, flags, 0o666)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagenet_archives, "not_through_links", on_a_full_disk)
        with pytest.raises(UserError, match=f"cannot write {full}: No space left on device"):
            prepare(ilsvrc2012, tmp_path / "imagenet")
    prepare(ilsvrc2012, tmp_path / "imagenet")
    assert files_in(tmp_path / "imagenet") == ilsvrc2012.tree()


def test_no_link_is_followed_as_archives_are_unpacked(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path
) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "imagenet"
    theirs.mkdir()
    (theirs / "a").write_text("theirs")
    part = folder / "train/.n01000000.part"
    part.mkdir(parents=True)
    (part / "n01000000_0.JPEG").symlink_to(theirs / "a")
    with pytest.raises(UserError, match=r"cannot write .*n01000000_0\.JPEG"):
        prepare(ilsvrc2012, folder)
    shutil.rmtree(part)
    part.symlink_to(theirs)
    with pytest.raises(UserError, match=r"\.n01000000\.part is a link, and nothing of ours"):
        prepare(ilsvrc2012, folder)
    assert [(path.name, path.read_text()) for path in theirs.iterdir()] == [("a", "theirs")]


@pytest.mark.parametrize("place", ["beginning", "behind"])
def test_what_can_be_seen_of_flipped_bits_is_said(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path, place: str
) -> None:
    content = bytearray(ilsvrc2012.path("train").read_bytes())
    name = b"n01000000_14.JPEG"
    first = content.index(name) + 512
    size = len(ilsvrc2012.train["n01000000"][name.decode()])
    content[first + (1 if place == "beginning" else size)] ^= 4
    ilsvrc2012.write("train", bytes(content))
    said = prepare(ilsvrc2012, tmp_path / "imagenet")
    assert said == ["n01000000_14.JPEG looks damaged; compare the archives by --md5"]


def test_a_development_kit_that_is_a_bomb(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    path = ilsvrc2012.folder / "ILSVRC2012_devkit_t12.tar.gz"
    member = tarfile.TarInfo("data/meta.mat")
    member.size = 10**12
    header = member.tobuf()
    path.write_bytes(gzip.compress(header + bytes(10**6)))
    with pytest.raises(UserError, match=r"devkit_t12\.tar\.gz .*: it unpacks to more than 64 MB"):
        prepare(ilsvrc2012, tmp_path / "imagenet")
    path.write_bytes(gzip.compress(tar_of({str(i): bytes(10**6) for i in range(70)}), 1))
    with pytest.raises(UserError, match="it unpacks to more than 64 MB"):
        prepare(ilsvrc2012, tmp_path / "imagenet")


def test_a_folder_that_cannot_be_made_is_named(ilsvrc2012: Ilsvrc2012) -> None:
    with pytest.raises(UserError, match="cannot write /proc/nowhere"):
        prepare(ilsvrc2012, Path("/proc/nowhere"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_development_kit_may_have_been_saved_anew(
    ilsvrc2012: Ilsvrc2012, tmp_path: Path, encoding: str
) -> None:
    wnids = list(ilsvrc2012.val)
    truth = [2, 3, 1, 2, 3, 1]
    ilsvrc2012.write_devkit(wnids, truth)
    archive = ilsvrc2012.folder / "ILSVRC2012_devkit_t12.tar.gz"
    expected = read_devkit(archive, ilsvrc2012.counts)
    assert expected.val_wnids == [wnids[label - 1] for label in truth]
    ilsvrc2012.write_devkit(wnids, truth, encoding)
    assert read_devkit(archive, ilsvrc2012.counts) == expected


def test_another_development_kit_is_refused(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> None:
    wnids = list(ilsvrc2012.val)
    path = ilsvrc2012.folder / "ILSVRC2012_devkit_t12.tar.gz"
    whole = path.read_bytes()

    def message() -> str:
        with pytest.raises(UserError) as caught:
            prepare(ilsvrc2012, tmp_path / "imagenet")
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith("fetch it again from image-net.org")
        return str(caught.value)

    ilsvrc2012.write_devkit(wnids, [1, 2, 3])
    assert "ground_truth.txt labels 3 images, expected 6" in message()
    ilsvrc2012.write_devkit(wnids, [1, 2, 3, 4, 1, 2])  # 4 is a group of classes
    assert "ground_truth.txt holds 4, which is no class's id" in message()
    ilsvrc2012.write_devkit([*wnids, "n04000000"], [1, 2, 3, 1, 2, 3])
    assert "data/meta.mat has 4 classes, expected 3 with ids from 1" in message()
    ilsvrc2012.write_devkit([*wnids[:2], "../../evil"], [1, 2, 3, 1, 2, 3])
    assert "has '../../evil' for a WordNet id" in message()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is cut short or damaged" in message()
    path.write_bytes(gzip.compress(tar_of({"a/data/meta.mat": b"MATLAB"})))
    assert "it lacks data/ILSVRC2012_validation_ground_truth.txt" in message()
    truth = "a/data/ILSVRC2012_validation_ground_truth.txt"
    path.write_bytes(gzip.compress(tar_of({"a/data/meta.mat": b"MATLAB" * 99, truth: b"1"})))
    assert "data/meta.mat cannot be read" in message()
    assert not (tmp_path / "imagenet").exists()
