import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.ops import box_iou

from deepres.detection.localization import Localizer, PerClassRPN, keep_stages_to
from deepres.errors import UserError
from deepres.models import build_network

SIDES = (8, 16, 32)


def network(classes: int = 3, name: str = "resnet8", stage: str = "conv4_x") -> PerClassRPN:
    torch.manual_seed(0)
    built = PerClassRPN(build_network(name), stage, classes, SIDES)
    for layer in (built.rpn.head.cls_logits, built.rpn.head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias, std=0.1)
    return built


def torchvisions(ours: PerClassRPN, of_class: int) -> RegionProposalNetwork:
    """Torchvision's class-agnostic RPN with the weights of one class."""
    head = RPNHead(64, 9)
    rows = {"cls_logits": 9, "bbox_pred": 36}
    weights = ours.rpn.head.state_dict()
    for layer, count in rows.items():
        for kind in ("weight", "bias"):
            of_all = weights[f"{layer}.{kind}"]
            weights[f"{layer}.{kind}"] = of_all[count * of_class : count * (of_class + 1)]
    head.load_state_dict(weights)
    generator = AnchorGenerator((SIDES,), ((0.5, 1.0, 2.0),))
    every = 10_000
    tops = {"training": every, "testing": every}
    return RegionProposalNetwork(generator, head, 0.7, 0.3, every, 0.5, tops, tops, 1.1)


@pytest.mark.parametrize("of_class", [0, 2])
def test_each_class_has_torchvisions_rpn(of_class: int) -> None:
    """The losses over all anchors and the best box are those of torchvision's RPN."""
    ours = network()
    ours.rpn.fg_bg_sampler.batch_size_per_image = 10_000  # all: no draw
    images = torch.randn(2, 3, 32, 48)
    boxes = [torch.tensor([[2.0, 3, 20, 30], [20, 4, 44, 20]]), torch.empty(0, 4)]
    classes = torch.full((2,), of_class)
    losses, best = ours(images, classes, boxes, [0, 1])

    theirs = torchvisions(ours, of_class)
    features = {"0": ours.network.feature_map(images)}
    listed = ImageList(images, [(32, 48)] * 2)
    _, expected = theirs(listed, features, [{"boxes": each} for each in boxes])
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss)
    proposals, _ = theirs.eval()(listed, features)  # NMS from an overlap of 1.1 on keeps all
    torch.testing.assert_close(best, torch.stack([each[0] for each in proposals]).detach())


def test_the_rows_of_the_asked_classes_alone_are_computed() -> None:
    """The fast path gives what the full convolution gives."""
    ours = network().eval()
    images, classes = torch.randn(2, 3, 32, 32), torch.tensor([[2, 0], [1, 1]])
    found = ours.candidates(images, classes)
    (logits,), (deltas,) = ours.rpn.head([ours.network.feature_map(images)])
    for i, of_image in enumerate(classes.tolist()):
        for k, c in enumerate(of_image):
            of_class = logits[i].view(3, 9, 8, 8)[c].permute(1, 2, 0).flatten()
            torch.testing.assert_close(found.logits[i, k], of_class)
            moved = deltas[i].view(3, 9, 4, 8, 8)[c].permute(2, 3, 0, 1).reshape(-1, 4)
            torch.testing.assert_close(found.deltas[i, k], moved)


def test_a_class_learns_from_its_own_images_alone() -> None:
    ours = network()
    box = [torch.tensor([[2.0, 3, 20, 30]])]
    losses, _ = ours(torch.randn(1, 3, 32, 32), torch.tensor([1]), box, [0])
    sum(losses.values()).backward()
    for layer in (ours.rpn.head.cls_logits, ours.rpn.head.bbox_pred):
        touched = layer.weight.grad.view(3, -1).abs().sum(1) > 0
        assert touched.tolist() == [False, True, False]


def test_classes_start_alike() -> None:
    ours = PerClassRPN(build_network("resnet8"), "conv4_x", 3, SIDES)
    found = ours.candidates(torch.randn(1, 3, 32, 32), torch.tensor([[0, 1, 2]]))
    for outputs in (found.logits, found.deltas):
        assert outputs.std() > 0
        torch.testing.assert_close(outputs, outputs[:, :1].expand_as(outputs))


def sampled(labels: Tensor, seed: int) -> Tensor:
    return network()._sampled(labels, seed)


def test_eight_anchors_are_drawn_half_of_them_positive() -> None:
    labels = torch.tensor([1.0] * 20 + [0.0] * 50 + [-1.0] * 30)
    drawn = sampled(labels, 5)
    assert [(drawn == each).sum().item() for each in (1, 0)] == [4, 4]
    assert (drawn == -1)[70:].all()
    assert torch.equal(drawn, sampled(labels, 5))
    assert not torch.equal(drawn, sampled(labels, 6))


def test_negative_anchors_take_the_place_of_positive_ones_that_lack() -> None:
    drawn = sampled(torch.tensor([1.0] + [0.0] * 50), 0)
    assert [(drawn == each).sum().item() for each in (1, 0)] == [1, 7]


def test_draws_depend_on_the_seeds_and_leave_the_callers_random_state() -> None:
    ours, images = network(), torch.randn(2, 3, 32, 32)
    boxes, classes = [torch.tensor([[4.0, 4, 20, 20]])] * 2, torch.tensor([0, 1])
    before = torch.get_rng_state()
    one = ours(images, classes, boxes, [3, 4])[0]["loss_objectness"]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, ours(images, classes, boxes, [3, 4])[0]["loss_objectness"])
    assert not torch.equal(one, ours(images, classes, boxes, [5, 6])[0]["loss_objectness"])
    # Each image's draw is its own: the batch may be shared by processes.
    parts = [
        ours(images[i : i + 1], classes[i : i + 1], boxes[:1], [3 + i])[0]["loss_objectness"]
        for i in range(2)
    ]
    torch.testing.assert_close(sum(parts) / 2, one)


@pytest.mark.parametrize(
    ("name", "stage", "stride"),
    [("resnet18", "conv4_x", 16), ("resnet18", "conv5_x", 32), ("vgg16", "conv4_x", 16)],
)
def test_anchors_lie_a_stride_apart(name: str, stage: str, stride: int) -> None:
    with torch.device("meta"):
        trunk = build_network(name)
    keep_stages_to(trunk, stage)
    assert "fc" not in trunk.stages
    assert list(trunk.stages)[-1] == stage
    if name == "resnet18":
        ours = network(1, name, stage)
        assert ours.stride == stride
        # 56 is no multiple of the stride: its map has 4 positions, and they are 16 apart.
        found = ours.candidates(torch.zeros(1, 3, 56, 56), torch.zeros(1, 1, dtype=torch.int64))
        centres = (found.anchors[:, 0] + found.anchors[:, 2]) / 2
        assert centres.unique().tolist() == [float(x) for x in range(0, 56, stride)]


def test_a_stage_that_the_network_lacks_is_named() -> None:
    with pytest.raises(
        UserError, match="no stage conv5_x; it has conv1, conv2_x, conv3_x, conv4_x"
    ):
        network(name="resnet8", stage="conv5_x")


def test_batch_norm_is_frozen() -> None:
    ours = network().train()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    ours(torch.randn(2, 3, 32, 32), torch.tensor([0, 1]), [torch.empty(0, 4)] * 2, [0, 1])
    norms = [name for name in before if ".bn" in name]
    assert norms
    assert all(torch.equal(before[name], ours.state_dict()[name]) for name in norms)
    assert not [name for name, _ in ours.named_parameters() if ".bn" in name]


def test_it_learns_where_a_bright_square_is() -> None:
    """Two classes that are told apart only by which square is asked for."""
    ours, generator = network(2), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.02, momentum=0.9)

    def scenes(count: int) -> tuple[Tensor, Tensor, Tensor]:
        """A red and a green square, 14 pixels wide, and which of the two is meant."""
        images = torch.full((count, 3, 32, 32), 0.5)
        boxes = torch.empty(count, 2, 4)
        for i in range(count):
            for colour in range(2):
                x, y = torch.randint(0, 19, (2,), generator=generator).tolist()
                x, y = (min(x, 3), y) if colour else (15 + x // 6, y)
                images[i, :, y : y + 14, x : x + 14] = 0
                images[i, colour, y : y + 14, x : x + 14] = 1
                boxes[i, colour] = torch.tensor([x, y, x + 14, y + 14])
        classes = torch.randint(2, (count,), generator=generator)
        return images - 0.5, classes, boxes[torch.arange(count), classes]

    for step in range(120):
        images, classes, boxes = scenes(8)
        seeds = [8 * step + i for i in range(8)]
        losses, _ = ours(images, classes, list(boxes[:, None]), seeds)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    images, classes, boxes = scenes(40)
    found = ours.best(ours.candidates(images, classes[:, None]), (32, 32))
    overlaps = box_iou(found[:, 0], boxes).diagonal()
    assert (overlaps >= 0.5).float().mean() > 0.9


def test_a_localizer_prepares_its_input() -> None:
    ours = network().eval()
    mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    localizer = Localizer(ours, mean, std, ("a", "b", "c"), short_side=32, crop=28)
    images = torch.randint(256, (2, 3, 32, 40), dtype=torch.uint8)
    classes = torch.tensor([[0, 2], [1, 0]])
    boxes, logits = localizer(images, classes)
    expected = ours.candidates((images / 255 - 0.5) / 0.25, classes)
    torch.testing.assert_close(boxes, ours.boxes(expected, (32, 40)), atol=1e-3, rtol=0)
    torch.testing.assert_close(logits, expected.logits)
    assert boxes.shape == (2, 2, 9 * 8 * 10, 4)
    best = logits.argmax(2)
    for i, k in ((0, 0), (1, 1)):
        torch.testing.assert_close(ours.best(expected, (32, 40))[i, k], boxes[i, k, best[i, k]])
    assert (boxes >= 0).all()
    assert (boxes[..., 0::2] <= 40).all()
    assert (boxes[..., 1::2] <= 32).all()
