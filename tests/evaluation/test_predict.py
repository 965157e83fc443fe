from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import picture
from PIL import Image

from deepres.data.cifar10 import ImageSet
from deepres.data.images import BadImage, open_image
from deepres.data.views import one_crop
from deepres.errors import UserError
from deepres.evaluation.grad_cam import grad_cam
from deepres.evaluation.predict import predict
from deepres.models import Classifier, build_network


def test_the_likeliest_classes_in_order() -> None:
    classifier = Classifier(build_network("resnet8"), torch.zeros(3, 32, 32), tuple("abcdefghij"))
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    logits = classifier.eval()(images)
    for guesses, scores in zip(predict(classifier, images, 99), logits, strict=True):
        assert len(guesses) == 10
        assert [g.name for g in guesses] == [
            "abcdefghij"[i] for i in scores.argsort(descending=True)
        ]
        assert abs(sum(g.probability for g in guesses) - 1) < 1e-5


def test_nan_is_no_prediction() -> None:
    network = build_network("resnet8")
    network.state_dict()["fc.weight"].fill_(3e38)  # finite, but no sum of it is
    classifier = Classifier(network, torch.zeros(3, 32, 32), tuple("abcdefghij")).eval()
    with pytest.raises(UserError, match="the network's answer is no finite number"):
        predict(classifier, torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), 3)


def test_an_image_without_pixels_is_no_image(classifier: Classifier) -> None:
    for size in ((0, 0), (0, 9)):
        with pytest.raises(BadImage, match=r"the image given: .* \(it has no pixels\)"):
            predict(classifier, Image.new("RGB", size))


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    classes = tuple("abcdefghij")
    return Classifier(build_network("resnet8"), torch.zeros(3, 1, 1), classes, short_side=40).eval()


def test_images_of_every_kind_are_prepared_alike(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    picture(60, 50).save(path)
    (centre,) = one_crop(open_image(path), 32, 40)
    crops = torch.tensor(centre).permute(0, 3, 1, 2)
    expected = classifier(crops)
    with Image.open(path) as opened:
        given = [path, str(path), picture(60, 50), opened]
        assert torch.equal(classifier.crops(given), crops.repeat(4, 1, 1, 1))
        for each in given:
            assert torch.equal(classifier(each), expected)
            assert torch.equal(classifier([each]), expected)
        several = predict(classifier, given * 5, top=2)  # more than a batch
    assert [[guess.name for guess in guesses] for guesses in several] == [
        ["abcdefghij"[i] for i in expected[0].topk(2).indices]
    ] * 20
    assert predict(classifier, path) == predict(classifier, crops, 3)
    assert predict(classifier, []) == []
    assert classifier([]).shape == (0, 10)


def test_an_image_of_pillows_is_read_as_its_file_would_be(
    classifier: Classifier, tmp_path: Path
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # Orientation: to be turned by 90 degrees
    picture(60, 50).save(tmp_path / "turned.jpg", exif=turned)
    clear = picture(60, 50)
    clear.putalpha(90)
    clear.save(tmp_path / "clear.png")
    Image.new("I", (60, 50), 200).save(tmp_path / "dark.pgm")  # of 65535, as no other mode's would
    for path in tmp_path.iterdir():
        with Image.open(path) as opened:
            before = opened.copy()
            assert torch.equal(classifier.crops(opened), classifier.crops(path)), path.name
            assert opened.tobytes() == before.tobytes()


@pytest.mark.parametrize("top", [0, -1])
def test_one_class_is_the_least(classifier: Classifier, top: int) -> None:
    with pytest.raises(UserError, match=f"top must be at least 1, got {top}"):
        predict(classifier, picture(32, 32), top)


def test_top_is_a_whole_number(classifier: Classifier) -> None:
    top: Any = 2.5
    with pytest.raises(UserError, match=r"top must be a whole number, got 2\.5"):
        predict(classifier, picture(32, 32), top)


@pytest.mark.parametrize("given", [3, [3], None, b"cat", np.zeros((8, 8, 3), np.uint8)])
def test_what_is_no_image_is_named(classifier: Classifier, given: Any) -> None:
    for ask in (classifier, partial(predict, classifier)):
        with pytest.raises(UserError, match=r"expected an image .* PIL\.Image\.fromarray\)"):
            ask(given)


def test_pixels_that_are_no_bytes_are_refused_and_left_alone(classifier: Classifier) -> None:
    pixels = torch.rand(1, 3, 32, 32)
    before = pixels.clone()
    label = torch.tensor([0])
    for ask in (
        lambda: predict(classifier, pixels),
        lambda: classifier(pixels),
        lambda: classifier.prepare(pixels),
        lambda: grad_cam(classifier, pixels, label),
        lambda: ImageSet(pixels, label),
    ):
        with pytest.raises(UserError, match=r"expected images as uint8, .* got float32; turn"):
            ask()
    assert torch.equal(pixels, before)
    assert predict(classifier, (255 * pixels).round().to(torch.uint8))


def test_what_is_no_classifier_is_named(tmp_path: Path) -> None:
    name: Any = "resnet20"
    with pytest.raises(UserError, match="as load_model returns it, got 'resnet20'"):
        predict(name, tmp_path / "cat.png")


def test_a_network_without_classes_is_named_in_one_line() -> None:
    network: Any = build_network("resnet8")
    with pytest.raises(UserError, match=r"^expected a classifier, .*, got ResNet$"):
        predict(network, picture(32, 32))


def test_a_classifier_in_training_mode_answers_alike(classifier: Classifier) -> None:
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    expected = predict(classifier, images)
    assert predict(classifier.train(), images) == expected
    assert not classifier.training


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (2, 32, 32, 3)])
def test_pixels_of_another_shape_are_refused(
    classifier: Classifier, shape: tuple[int, ...]
) -> None:
    pixels = torch.zeros(shape, dtype=torch.uint8)
    for ask in (
        lambda: predict(classifier, pixels),
        lambda: ImageSet(pixels, torch.zeros(len(pixels)).long()),
    ):
        with pytest.raises(UserError, match=r"expected images as \(N, 3, H, W\), got \("):
            ask()


def test_a_bad_image_is_named(classifier: Classifier, tmp_path: Path) -> None:
    picture(60, 50).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    with Image.open(tmp_path / "cut.png") as opened, pytest.raises(BadImage, match=r"cut\.png"):
        predict(classifier, opened)
    with pytest.raises(BadImage, match="the image given: damaged or unreadable"):
        predict(classifier, Image.new("F", (60, 50), 0.5))
    with pytest.raises(BadImage, match=r"nothing\.png: no such file"):
        predict(classifier, [tmp_path / "nothing.png"])
