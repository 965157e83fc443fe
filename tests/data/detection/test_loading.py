from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepres.data.detection.loading import image_size, image_tensor, target
from deepres.data.detection.records import AnnotatedImage, Objects, Segmentation
from deepres.data.detection.splits import open_detection_set
from deepres.data.images import BadImage
from deepres.errors import UserError

COCO = pytest.importorskip("pycocotools.coco", reason="deepres[detection] brings it").COCO
encode = pytest.importorskip("pycocotools.mask", reason="deepres[detection] brings it").encode

SQUARE: Segmentation = [[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]]


def annotated(
    path: Path, width: int, height: int, outlines: tuple[Segmentation, ...] | None = None
) -> AnnotatedImage:
    """With two objects, of which the first is ignored."""
    boxes = torch.tensor([[0.0, 0.0, 6.0, 4.0], [1.0, 1.0, 4.0, 3.0]])
    ignored = torch.tensor([True, False])
    objects = Objects(boxes, torch.tensor([2, 1]), ignored, outlines)
    return AnnotatedImage("x", path, width, height, objects)


def test_pixels_are_rgb_from_0_to_1(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[0, 5] = (255, 51, 0)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    tensor = image_tensor(annotated(tmp_path / "x.png", 6, 4))
    assert tensor.dtype == torch.float32
    assert tensor.shape == (3, 4, 6)
    torch.testing.assert_close(tensor[:, 0, 5], torch.tensor([1, 0.2, 0]))
    assert tensor.sum() == tensor[:, 0, 5].sum()


def test_another_size_than_annotated_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (6, 4)).save(tmp_path / "x.jpg", exif=exif)
    with pytest.raises(UserError, match=r"x\.jpg is 4×6 pixels .* annotation says 6×4"):
        image_tensor(annotated(tmp_path / "x.jpg", 6, 4))
    assert image_size(tmp_path / "x.jpg") == (4, 6)
    assert image_tensor(annotated(tmp_path / "x.jpg", 4, 6)).shape == (3, 6, 4)


def test_sizes_of_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("hello")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\5IHDR12345....")
    for name in ("x.jpg", "missing.jpg", "cut.png"):
        with pytest.raises(BadImage, match=name):
            image_size(tmp_path / name)


def test_the_size_of_an_image_too_large_for_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "x.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(BadImage, match=r"x\.jpg: too large: 24 pixels are more than the 22"):
        image_size(tmp_path / "x.jpg")


def test_ignored_objects_are_not_learnt(tmp_path: Path) -> None:
    wanted = target(annotated(tmp_path, 6, 4))
    assert wanted.keys() == {"boxes", "labels"}
    assert wanted["boxes"].tolist() == [[1, 1, 4, 3]]
    assert wanted["labels"].tolist() == [1]


def encoded_square() -> Segmentation:
    mask = np.zeros((4, 6), dtype=np.uint8, order="F")
    mask[1:3, 1:4] = 1
    return encode(mask)


@pytest.mark.parametrize(
    "square",
    [SQUARE, {"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]}, encoded_square()],
    ids=["polygon", "run lengths", "compressed run lengths"],
)
def test_masks_are_drawn_from_outlines(tmp_path: Path, square: Segmentation) -> None:
    whole: Segmentation = {"size": [4, 6], "counts": [0, 24]}
    (drawn,) = target(annotated(tmp_path, 6, 4, (whole, square)), masks=True)["masks"]
    assert drawn.dtype == torch.uint8
    assert drawn.tolist() == [
        *([0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0]),
        *([0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]),
    ]


def test_masks_need_outlines(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no outlines"):
        target(annotated(tmp_path, 6, 4), masks=True)


def test_an_image_without_objects_has_no_masks(tmp_path: Path) -> None:
    nothing = Objects(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).bool())
    wanted = target(AnnotatedImage("x", tmp_path, 6, 4, nothing), masks=True)
    assert wanted["masks"].shape == (0, 4, 6)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_masks_of_the_real_sample_are_pycocotools(coco_sample: Path) -> None:
    data = open_detection_set("coco2017-val", coco_sample)
    theirs = COCO(coco_sample / "annotations/instances_val2017.json")
    for image in data.images[:20]:
        wanted = target(image, masks=True)
        numbers = theirs.getAnnIds(imgIds=[int(image.id)], iscrowd=False)
        masks = [theirs.annToMask(each) for each in theirs.loadAnns(numbers)]
        assert wanted["masks"].shape[0] == len(masks)
        for ours, mask in zip(wanted["masks"], masks, strict=True):
            assert torch.equal(ours, torch.from_numpy(mask))
        assert image_tensor(image).shape == (3, image.height, image.width)
