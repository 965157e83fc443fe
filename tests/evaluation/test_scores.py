import copy
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pictures import image_folder, save_pictures
from PIL import Image
from runs import NotingBar, on_cpu
from torch import Tensor, nn
from torchvision import transforms as reference

from deepres.data.cifar10 import Cifar10, ImageSet
from deepres.data.folder import ImageFiles, open_image_folder, open_test_images
from deepres.data.images import BadImage
from deepres.data.views import multi_scale
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.metrics import validate
from deepres.evaluation.scores import Scores, average, class_scores, view_scores, window_side
from deepres.models import Classifier, build_network
from deepres.models.stages import StagedNetwork

CPU = torch.device("cpu")


def with_statistics(network: StagedNetwork) -> StagedNetwork:
    """Give BN something to do."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return network


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """For crops of 64 pixels, whose last feature map has 2×2."""
    torch.manual_seed(0)
    network = with_statistics(build_network("resnet18", num_classes=6))
    made = Classifier(network, torch.rand(3, 64, 64), tuple("abcdef"), crop=64, short_side=74)
    return made.eval()


@pytest.fixture(scope="module")
def small() -> Classifier:
    torch.manual_seed(0)
    network = with_statistics(build_network("resnet8", num_classes=6))
    return Classifier(network, torch.rand(3, 32, 32), tuple("abcdef"), short_side=37).eval()


class TinyVgg(StagedNetwork):
    """As VGG, but small: what follows the convolutions sees where things are."""

    def __init__(self) -> None:
        super().__init__(input_size=32)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(8)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(8 * 8 * 8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5)
        )
        self.stages = {"conv1_x": ("features",), "fc": ("avgpool", "flatten", "classifier")}


@pytest.fixture(scope="module")
def files_at_224(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Three; scaled to 256 pixels, two have odd borders around the centre."""
    folder = tmp_path_factory.mktemp("large")
    save_pictures(folder, [(299, 256), (257, 256), (290, 500)])
    return ImageFiles(folder, tuple(f"{i:03}.jpg" for i in range(3)), (0, 1, 2))


@pytest.fixture(scope="module")
def photographs(imagenet_sample: Path) -> ImageFiles:
    """Three real ones."""
    names = sorted(str(p.relative_to(imagenet_sample)) for p in imagenet_sample.rglob("*.JPEG"))
    return ImageFiles(imagenet_sample, tuple(names[::100]), (0, 1, 2))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Eight images of odd sizes and shapes; their labels are their places mod 6."""
    folder = tmp_path_factory.mktemp("images")
    sizes = [(64, 64), (90, 70), (70, 90), (20, 33), (200, 40), (40, 200), (1, 1), (150, 150)]
    save_pictures(folder, sizes)
    names = tuple(f"{i:03}.jpg" for i in range(8))
    return ImageFiles(folder, names, tuple(i % 6 for i in range(8)))


def pixels_of(image: Image.Image) -> Tensor:
    """(1, 3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def assert_same_scores(a: Scores, b: Scores) -> None:
    assert a.names == b.names
    assert torch.equal(a.labels, b.labels)
    torch.testing.assert_close(a.probabilities, b.probabilities, atol=1e-5, rtol=0)


def spoiled(files: ImageFiles, folder: Path, *places: int) -> ImageFiles:
    """The same files elsewhere, some of them no images."""
    for i, name in enumerate(files.names):
        (folder / name).write_bytes(b"" if i in places else (files.root / name).read_bytes())
    return ImageFiles(folder, files.names, files.labels)


# The network's view


@pytest.mark.parametrize("make", [lambda: build_network("resnet8"), TinyVgg])
@torch.inference_mode()
def test_a_crop_gets_the_networks_own_softmax(make: Callable[[], StagedNetwork]) -> None:
    tested = Classifier(with_statistics(make()), torch.rand(3, 32, 32), tuple("ab")).eval()
    window = window_side(tested, CPU)
    assert window == 8
    views = torch.randint(256, (3, 2, 32, 32, 3), dtype=torch.uint8)
    expected = tested(views.flatten(0, 1).permute(0, 3, 1, 2)).softmax(1)
    found = view_scores(tested, views, window)
    torch.testing.assert_close(found.flatten(0, 1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (150, 100), (64, 700)])
@torch.inference_mode()
def test_a_larger_view_of_a_resnet_is_tested_fully_convolutionally(
    classifier: Classifier, height: int, width: int
) -> None:
    views = torch.randint(256, (1, 2, height, width, 3), dtype=torch.uint8)
    network = classifier.network
    mean = classifier.mean if (height, width) == (64, 64) else classifier.mean.mean((1, 2))
    x = views[0].permute(0, 3, 1, 2) / 255 - mean.view(3, *mean.shape[1:] or (1, 1))
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        x = network.get_submodule(name)(x)
    pooled = F.avg_pool2d(x, kernel_size=2, stride=1)
    fc = network.get_submodule("fc")
    dense = F.conv2d(pooled, fc.weight[:, :, None, None], fc.bias)  # (2, classes, rows, columns)
    expected = dense.softmax(1).mean((2, 3))
    found = view_scores(classifier, views, 2)
    torch.testing.assert_close(found, expected[None], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_larger_view_of_a_vgg_runs_its_first_layer_as_a_convolution() -> None:
    torch.manual_seed(0)
    network = TinyVgg()
    classifier = Classifier(network, torch.zeros(3, 1, 1), tuple("abcde")).eval()
    views = torch.randint(256, (2, 1, 52, 100, 3), dtype=torch.uint8)
    x = network.features(views[:, 0].permute(0, 3, 1, 2) / 255)
    first, _, _, last = network.classifier
    hidden = F.conv2d(x, first.weight.view(16, 8, 8, 8), first.bias).relu()
    dense = F.conv2d(hidden, last.weight[:, :, None, None], last.bias)
    assert dense.shape[2:] == (6, 18)
    found = view_scores(classifier, views, window_side(classifier, CPU))
    torch.testing.assert_close(found[:, 0], dense.softmax(1).mean((2, 3)), atol=1e-5, rtol=0)


@pytest.mark.slow
@torch.inference_mode()
def test_vgg16_is_tested_fully_convolutionally() -> None:
    with torch.device("meta"):
        network = build_network("vgg16", num_classes=3)
    network.to_empty(device="cpu")
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
        parameter.uniform_(-1, 1).mul_((6 / fan_in) ** 0.5)
    classifier = Classifier(network, torch.zeros(3, 1, 1), tuple("abc")).eval()
    window = window_side(classifier, CPU)
    assert window == 7
    views = torch.randint(256, (1, 1, 224, 257, 3), dtype=torch.uint8)
    x = network.get_submodule("features")(views[0].permute(0, 3, 1, 2) / 255)
    layers = [layer for layer in network.get_submodule("classifier") if hasattr(layer, "weight")]
    x = F.conv2d(x, layers[0].weight.view(4096, 512, 7, 7), layers[0].bias).relu()
    assert x.shape[2:] == (1, 2)
    x = F.conv2d(x, layers[1].weight[:, :, None, None], layers[1].bias).relu()
    x = F.conv2d(x, layers[2].weight[:, :, None, None], layers[2].bias)
    expected = x.softmax(1).mean((2, 3))
    assert (x[..., 0] - x[..., 1]).abs().max() > 0.01
    found = view_scores(classifier, views, window)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)


# The scores of images


@torch.inference_mode()
def test_one_crop_is_the_softmax_of_the_centre(classifier: Classifier, files: ImageFiles) -> None:
    chain = reference.Compose([reference.Resize(74), reference.CenterCrop(64)])
    found = class_scores(classifier, files, "1-crop", on_cpu())
    assert found.names == files.names
    assert found.labels.tolist() == list(files.labels)
    for i, name in enumerate(files.names):
        crop = chain(Image.open(files.root / name))
        expected = classifier(pixels_of(crop)).softmax(1)[0]
        torch.testing.assert_close(found.probabilities[i], expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_ten_crops_are_the_mean_softmax_of_torchvisions(
    classifier: Classifier, files: ImageFiles
) -> None:
    found = class_scores(classifier, files, "10-crop", on_cpu(workers=1))
    chain = reference.Compose([reference.Resize(74), reference.TenCrop(64)])
    for i, name in enumerate(files.names):
        ten = chain(Image.open(files.root / name))
        logits = classifier(torch.cat([pixels_of(view) for view in ten]))
        expected = logits.softmax(1).mean(0)
        torch.testing.assert_close(found.probabilities[i], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("which", ["files_at_224", "photographs"])
@torch.inference_mode()
def test_at_the_papers_sizes_ten_crops_are_torchvisions_and_the_dense_test_has_the_one_crop(
    classifier: Classifier, which: str, request: pytest.FixtureRequest
) -> None:
    images: ImageFiles = request.getfixturevalue(which)
    mean = torch.rand(3, 224, 224)
    tested = Classifier(classifier.network, mean, tuple("abcdef"), short_side=256).eval()
    chain = reference.Compose([reference.Resize(256), reference.TenCrop(224)])
    found = class_scores(tested, images, "10-crop", on_cpu())
    window = window_side(tested, CPU)
    for i in range(len(images)):
        image = Image.open(images.root / images.names[i]).convert("RGB")
        views = torch.cat([pixels_of(view) for view in chain(image)])
        expected = tested(views).softmax(1).mean(0)
        torch.testing.assert_close(found.probabilities[i], expected, atol=1e-5, rtol=0)

        square = reference.CenterCrop(224)(image.resize((256, 256)))
        whole, _ = torch.from_numpy(multi_scale(square, 224, 256)[0])
        (dense,) = view_scores(tested, whole[None, None], window)
        one_crop = tested(pixels_of(square)).softmax(1)
        torch.testing.assert_close(dense, one_crop, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_many_scales_are_the_mean_over_sizes_and_mirror_images(
    classifier: Classifier, files: ImageFiles
) -> None:
    few = ImageFiles(files.root, files.names[1:4], files.labels[1:4])
    found = class_scores(classifier, few, "multi-scale", on_cpu())
    for i in range(len(few)):
        of_sizes = [
            view_scores(classifier, torch.from_numpy(views)[None], 2)[0]
            for views in multi_scale(few.image(i), 64, 74)
        ]
        expected = torch.stack(of_sizes).mean((0, 1))  # (5 sizes, 2, classes)
        torch.testing.assert_close(found.probabilities[i], expected, atol=1e-5, rtol=0)
    sums = found.probabilities.sum(1)
    torch.testing.assert_close(sums, torch.ones(3))


def test_cifars_images_get_what_evaluate_finds(sample: Cifar10) -> None:
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 32, 32), sample.classes).eval()
    data = sample.test.subset(slice(0, 300))
    scores = class_scores(classifier, data, "1-crop", on_cpu())
    found = validate(classifier, data)
    assert scores.error_pct() == pytest.approx(found.error_pct)
    assert scores.error_pct(5) == pytest.approx(found.top5_error_pct)
    assert torch.equal(scores.confusion(), found.confusion)


@pytest.mark.parametrize("views", ["1-crop", "multi-scale"])
@pytest.mark.parametrize("size", [3, 9])
def test_processes_share_the_images_and_none_counts_twice(
    small: Classifier,
    files: ImageFiles,
    views: str,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = class_scores(small, files, views, on_cpu())
    handed_in: list[list[Tensor]] = []

    def note(world: World, tensor: Tensor) -> Tensor:
        handed_in[world.rank].append(tensor.clone())
        return tensor

    with monkeypatch.context() as patch:
        patch.setattr(World, "sum", note)
        for rank in range(size):
            handed_in.append([])
            with suppress(BadImage):  # one without images has none, as nothing is summed here
                class_scores(small, files, views, on_cpu(world=World(rank, size)))
    sums = [torch.stack(tensors).sum(0) for tensors in zip(*handed_in, strict=True)]
    assert sums[1].tolist() == [1] * len(files)
    torch.testing.assert_close(sums[0], alone.probabilities, atol=1e-5, rtol=0)

    # What each would return, had the others handed in theirs.
    monkeypatch.setattr(World, "sum", lambda world, tensor: tensor.copy_(remaining.pop(0)))
    for rank in range(size):
        remaining = list(sums)
        found = class_scores(small, files, views, on_cpu(world=World(rank, size)))
        assert_same_scores(found, alone)


def test_a_bad_image_stops_the_test_by_its_name(
    small: Classifier, files: ImageFiles, tmp_path: Path
) -> None:
    bad = spoiled(files, tmp_path, 2)
    with pytest.raises(BadImage, match=r"002\.jpg: not an image .*--bad-images skip"):
        class_scores(small, bad, "1-crop", on_cpu())


@pytest.mark.parametrize("views", ["1-crop", "multi-scale"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_left_out_and_no_other_takes_its_label(
    small: Classifier, files: ImageFiles, views: str, workers: int, tmp_path: Path
) -> None:
    few = ImageFiles(files.root, files.names[:5], files.labels[:5])
    whole = class_scores(small, few, views, on_cpu())
    bad = spoiled(few, tmp_path, 0, 3)
    bar = NotingBar()
    here = on_cpu(workers=workers, progress=bar)
    found = class_scores(small, bad, views, here, skip_bad=True)
    kept = [1, 2, 4]
    assert_same_scores(
        found,
        Scores(tuple(whole.names[i] for i in kept), whole.labels[kept], whole.probabilities[kept]),
    )
    assert bar.updates[-1] == 5


def test_no_image_at_all_is_no_error_of_nan_per_cent(
    small: Classifier, files: ImageFiles, tmp_path: Path
) -> None:
    bad = spoiled(ImageFiles(files.root, files.names[:2], files.labels[:2]), tmp_path, 0, 1)
    with pytest.raises(BadImage, match="none of the 2 images can be decoded"):
        class_scores(small, bad, "1-crop", on_cpu(), skip_bad=True)


def test_images_without_a_class_are_scored(small: Classifier, files: ImageFiles) -> None:
    images, _ = open_test_images(files.root)
    found = class_scores(small, images, "1-crop", on_cpu())
    assert found.labels.tolist() == [-1] * 8
    assert np.isnan(found.error_pct())


def test_a_folders_labels_are_its_classes(small: Classifier, tmp_path: Path) -> None:
    data = open_image_folder(image_folder(tmp_path, classes=3, train=1, val=2))
    found = class_scores(small, data.test, "1-crop", on_cpu())
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("label", [-2, 6])
@pytest.mark.parametrize("kind", ["in memory", "files"])
def test_a_label_that_is_no_class_is_refused(
    small: Classifier, files: ImageFiles, kind: str, label: int
) -> None:
    labels = (-1, 0, 1, 2, 3, 4, 5, label)  # -1: nobody knows
    images: ImageSet | ImageFiles = ImageFiles(files.root, files.names, labels)
    if kind == "in memory":
        images = ImageSet(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.tensor(labels))
    said = f"the label {label}, and the network's 6 classes go from 0 to 5"
    with pytest.raises(UserError, match=said):
        class_scores(small, images, "1-crop", on_cpu())


@pytest.mark.parametrize("views", [10, None, ["1-crop"]])
def test_views_go_by_their_names(small: Classifier, files: ImageFiles, views: Any) -> None:
    with pytest.raises(UserError, match=re.escape(f"unknown views {views!r}; there are 1-crop")):
        class_scores(small, files, views, on_cpu())


# What is made of scores


def scores_of(labels: list[int], probabilities: Tensor) -> Scores:
    return Scores(
        tuple(f"{i}.jpg" for i in range(len(labels))), torch.tensor(labels), probabilities
    )


@pytest.mark.parametrize("top", [0, -1, "1", 1.5])
def test_an_error_is_among_a_number_of_classes(top: Any) -> None:
    with pytest.raises(UserError, match="top must be "):
        scores_of([0], torch.ones(1, 2)).error_pct(top)


@given(
    labels=st.lists(st.integers(-1, 6), min_size=1, max_size=30),
    top=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_errors_are_those_of_a_plain_count(labels: list[int], top: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = scores_of(labels, torch.rand(len(labels), 7, generator=generator))
    missed, confusion = [], np.zeros((7, 7), int)
    for label, row in zip(labels, scores.probabilities.tolist(), strict=True):
        if label >= 0:
            missed.append(sum(other > row[label] for other in row) >= top)
            confusion[label, row.index(max(row))] += 1
    if missed:
        assert scores.error_pct(top) == pytest.approx(100 * sum(missed) / len(missed))
    else:
        assert np.isnan(scores.error_pct(top))
    assert np.array_equal(scores.confusion().numpy(), confusion)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    members = [scores_of([0, 1], torch.rand(2, 3)) for _ in range(3)]
    found = average(members)
    expected = sum(member.probabilities for member in members) / 3
    torch.testing.assert_close(found.probabilities, expected)
    assert (found.names, found.labels.tolist()) == (members[0].names, [0, 1])
    assert torch.equal(average(members[:1]).probabilities, members[0].probabilities)


@pytest.mark.parametrize(
    "other",
    [
        Scores(("0.jpg", "x.jpg"), torch.tensor([0, 1]), torch.rand(2, 3)),
        Scores(("0.jpg", "1.jpg"), torch.tensor([0, 2]), torch.rand(2, 3)),
        Scores(("0.jpg", "1.jpg"), torch.tensor([0, 1]), torch.rand(2, 4)),
        Scores(("0.jpg",), torch.tensor([0]), torch.rand(1, 3)),
    ],
    ids=["name", "label", "classes", "number"],
)
def test_members_that_saw_other_images_are_refused(other: Scores) -> None:
    with pytest.raises(UserError, match="on the same images and classes"):
        average([scores_of([0, 1], torch.rand(2, 3)), other])


def test_nan_is_no_score(small: Classifier, sample: Cifar10) -> None:
    broken = copy.deepcopy(small)
    broken.network.state_dict()["fc.weight"].fill_(3e38)
    with pytest.raises(UserError, match="the network's answer is no finite number"):
        class_scores(broken, sample.test.subset(slice(5)), "1-crop", on_cpu())
