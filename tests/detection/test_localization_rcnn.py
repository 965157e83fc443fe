import math
from pathlib import Path

import pytest
import torch
from small_localization import tiny_rcnn_recipe, tiny_recipe, tiny_weights
from torch import Tensor
from torchvision.ops import box_iou

from deepres.detection.localization_rcnn import PerClassRCNN, RegionLocalizer
from deepres.detection.localizer_file import load_localizer, save_localizer
from deepres.detection.rcnn_file import build_rcnn, load_rcnn, save_rcnn
from deepres.errors import UserError
from deepres.models import build_network, load_classifier
from deepres.models.weights import read_weights, write_weights

ARCHITECTURE = {"name": "resnet8", "num_classes": 2}
DESCRIBED = {
    "architecture": ARCHITECTURE,
    "recipe": tiny_rcnn_recipe(5).to_dict(),
    "classes": ["n01", "n02"],
    "rpn": {
        "architecture": ARCHITECTURE,
        "recipe": tiny_recipe(5).to_dict(),
        "classes": ["n01", "n02"],
    },
}


def rcnn(classes: int = 3, name: str = "resnet8") -> PerClassRCNN:
    torch.manual_seed(0)
    return PerClassRCNN(build_network(name), classes, (10, 10, 5, 5))


def localizer() -> RegionLocalizer:
    torch.manual_seed(0)
    built = build_rcnn(DESCRIBED)
    built.mean.fill_(0.25)
    built.std.fill_(0.5)
    torch.nn.init.normal_(built.rcnn.siblings.bbox_pred.weight, std=0.1)
    return built.eval()


@pytest.mark.parametrize(("name", "features"), [("resnet8", 64), ("vgg16", 4096)])
def test_two_layers_take_the_place_of_the_last_one(name: str, features: int) -> None:
    with torch.device("meta"):
        ours = PerClassRCNN(build_network(name), 7, (1, 1, 1, 1))
        logits, deltas = ours(torch.zeros(2, 3, 224, 224), torch.tensor([1, 6]))
    assert ours.siblings.cls_score.weight.shape == (7, features)
    assert (logits.shape, deltas.shape) == ((2,), (2, 4))
    assert not [key for key in ours.state_dict() if key.startswith(("network.fc", "network.fc8"))]


def test_a_region_gets_the_outputs_of_its_class() -> None:
    ours = rcnn().eval()
    torch.nn.init.normal_(ours.siblings.cls_score.weight)
    regions, classes = torch.randn(3, 3, 32, 32), torch.tensor([2, 0, 2])
    logits, deltas = ours(regions, classes)
    every, moves = ours.siblings(ours.network(regions))
    for r, c in enumerate(classes.tolist()):
        assert logits[r] == every[r, c]
        assert torch.equal(deltas[r], moves[r, 4 * c : 4 * c + 4])


def test_classes_start_alike_and_learn_from_their_own_regions_alone() -> None:
    ours = rcnn()
    logits, deltas = ours.siblings(ours.network(torch.randn(2, 3, 32, 32)))
    for outputs in (logits, deltas.unflatten(1, (3, 4)).transpose(1, 2).flatten(0, 1)):
        assert outputs.std() > 0
        torch.testing.assert_close(outputs, outputs[:, :1].expand_as(outputs))
    found = ours(torch.randn(1, 3, 32, 32), torch.tensor([1]))
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5]])
    sum(ours.losses(found, torch.ones(1), boxes, boxes + 0.1).values()).backward()
    for layer in (ours.siblings.cls_score, ours.siblings.bbox_pred):
        touched = layer.weight.grad.view(3, -1).abs().sum(1) > 0
        assert touched.tolist() == [False, True, False]


def test_the_losses_are_worked_out_by_hand() -> None:
    """One object and one background; the object is to be moved by half its width, times 10."""
    ours = rcnn()
    boxes = torch.tensor([[0.0, 0, 0.2, 0.4], [0.5, 0.5, 1, 1]])
    matched = torch.tensor([[0.1, 0, 0.3, 0.4], [0.0, 0, 1, 1]])
    found = torch.tensor([2.0, -1.0]), torch.zeros(2, 4)
    losses = ours.losses(found, torch.tensor([1.0, 0.0]), boxes, matched)
    logistic = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert losses["loss_objectness"].item() == pytest.approx(logistic)
    assert losses["loss_box_reg"].item() == pytest.approx((5 - 0.5) / 2)


def test_batch_norm_is_frozen() -> None:
    ours = rcnn().train()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    ours(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())
    assert not [name for name, _ in ours.named_parameters() if ".bn" in name]


def test_it_learns_how_much_of_a_region_is_the_object() -> None:
    ours, generator = rcnn(1), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.003, momentum=0.9)
    whole, only = torch.tensor([[0.0, 0, 1, 1]]), torch.zeros(8, dtype=torch.int64)

    def squares() -> tuple[Tensor, Tensor]:
        """Bright squares of 8 to 20 pixels in the middle of regions of 32, and their boxes."""
        images, boxes = torch.full((8, 3, 32, 32), -0.5), torch.empty(8, 4)
        for i in range(8):
            low = int(torch.randint(6, 13, (1,), generator=generator))
            images[i, :, low : 32 - low, low : 32 - low] = 0.5
            boxes[i] = torch.tensor([low, low, 32 - low, 32 - low]) / 32
        return images, boxes

    for _ in range(120):
        images, boxes = squares()
        losses = ours.losses(ours(images, only), torch.ones(8), whole.expand(8, 4), boxes)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    images, boxes = squares()
    assert (box_iou(whole, boxes) < 0.4).all()
    moved = ours.box_coder.decode_single(ours(images, only)[1], whole.expand(8, 4)).detach()
    assert (box_iou(moved, boxes).diagonal() > 0.7).all()


def test_a_localizer_prepares_its_input_and_moves_what_it_is_given() -> None:
    ours = localizer()
    assert ours.warp == (28, 2, (64, 64, 64))
    squares = torch.randint(256, (2, 3, 28, 28), dtype=torch.uint8)
    classes, boxes = torch.tensor([1, 0]), torch.tensor([[4.0, 4, 20, 30], [0, 0, 9, 9]])
    moved, logits = ours(squares, classes, boxes)
    expected, deltas = ours.rcnn((squares / 255 - 0.25) / 0.5, classes)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(moved, ours.rcnn.box_coder.decode_single(deltas, boxes))


def test_a_file_holds_all_that_is_needed(tmp_path: Path) -> None:
    ours, file = localizer(), tmp_path / "model.safetensors"
    save_rcnn(file, ours, DESCRIBED, {"mean_box": [0, 0, 1, 1]})
    for path in (file, tmp_path):
        loaded, meta = load_rcnn(path)
        assert meta["mean_box"] == [0, 0, 1, 1]
        assert (loaded.warp, loaded.classes) == (ours.warp, ("n01", "n02"))
        assert (loaded.proposals, loaded.nms_iou) == (20, 0.7)
        for name, tensor in ours.state_dict().items():
            assert torch.equal(tensor, loaded.state_dict()[name]), name
    with pytest.raises(UserError, match="localization network's R-CNN, and a classifier is asked"):
        load_classifier(file)
    asked = f"{file} holds .* R-CNN, and a localization network is asked for: give a run of deepres"
    with pytest.raises(UserError, match=asked):
        load_localizer(file)


def test_files_that_do_not_note_what_they_are_load_too(tmp_path: Path) -> None:
    """Those of before."""
    rcnn, rpn = tmp_path / "rcnn.safetensors", tmp_path / "rpn.safetensors"
    ours = localizer()
    save_rcnn(rcnn, ours, DESCRIBED, {})
    save_localizer(rpn, ours.proposer, ARCHITECTURE, tiny_recipe(5), {})
    for file, load in ((rcnn, load_rcnn), (rpn, load_localizer)):
        tensors, notes = read_weights(file)
        del notes["kind"]
        write_weights(file, tensors, notes)
        load(file)


def test_a_classifier_is_no_rcnn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds a classifier, and .* R-CNN is asked for: .* --rpn"):
        load_rcnn(tiny_weights(tmp_path / "weights.safetensors"))
