"""Detectors and localization networks on a GPU: the same bits each time, and the CPU's numbers."""

import dataclasses
from pathlib import Path

import pytest
import torch
from runs import assert_same_bits, train
from small_detection import narrow_networks, tiny_recipe, tiny_sets
from small_detector import images, small_detector, targets
from small_localization import tiny_recipe as localization_recipe
from small_localization import tiny_weights, two_classes
from torch import Tensor

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_data
from deepres.data.detection.records import DetectionData
from deepres.detection.inference import Improvements, detect
from deepres.detection.localizer_file import load_localizer
from deepres.detection.weights import load_detector
from deepres.evaluation.detection.detector_inference import detect_all
from deepres.evaluation.detection.localizer_inference import locate
from deepres.execution import Execution
from deepres.recipes.detection import Schedule
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable
from deepres.training.alternating import SCHEDULES
from deepres.training.detection import Detection, detector_step

pytestmark = pytest.mark.gpu

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
# So many that all are drawn: no draw is the same on two devices.
ALL = {"rpn_sampled": 2_000, "regions_sampled": 400}


def losses_of(run: RunFolder) -> list[float]:
    return [event["loss"] for event in run.read_events() if event["split"] == "train"]


@pytest.mark.parametrize(("schedule", "pooling"), [("joint", "align"), ("4-step", "max")])
def test_a_detectors_run(tmp_path: Path, schedule: Schedule, pooling: str) -> None:
    sets = tiny_sets(tmp_path / "voc")
    settings = [f"{field}={value}" for field, value in ALL.items()]
    recipe = tiny_recipe(4, schedule, f"roi_pooling={pooling}", "log_every=1", *settings)
    folders = [RunFolder(tmp_path / name) for name in ("cuda", "again", "cpu")]
    with narrow_networks():
        for folder, device in zip(folders, ("cuda", "cuda", "cpu"), strict=True):
            result = train(recipe, folder.path, DetectionData(*sets), device=device, workers=0)
            if device == "cuda":
                detector = load_detector(folder.path, CUDA)
                found = detect_all([detector], sets[1], Execution(CUDA, workers=0))
                assert found.scores()["map_50_pct"] == result["test_map_50_pct"]
    assert_same_bits(*folders[:2])
    on_cuda, on_cpu = (losses_of(folder) for folder in folders[1:])
    assert on_cuda[0] == pytest.approx(on_cpu[0], rel=0.01)


@pytest.mark.parametrize("schedule", ["joint", "4-step"])
def test_a_detector_learns_masks(tmp_path: Path, schedule: Schedule) -> None:
    data = DetectionData(*tiny_sets(tmp_path / "voc"))  # only to set up: steps are taken by hand
    first, again, on_cpu = (steps_with_masks(data, schedule, each) for each in (CUDA, CUDA, CPU))
    assert "loss_mask" in first[0][-1]
    assert first[0] == again[0]
    for name, tensor in first[1].items():
        assert torch.equal(tensor, again[1][name]), name
    assert first[0][0] == pytest.approx(on_cpu[0][0], rel=0.01)
    assert first[0][-1] == pytest.approx(on_cpu[0][-1], rel=0.01)


def steps_with_masks(
    data: DetectionData, schedule: Schedule, device: torch.device
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Take two steps of each phase; return the losses and the weights."""
    make_repeatable(device)
    detector = small_detector(masks=True, roi_pooling="align", **ALL).to(device)
    recipe = dataclasses.replace(tiny_recipe(8, schedule), lr=1e-3)
    state = Detection(recipe, data, detector, 0, Execution(device, workers=0))
    pictures = [image.to(device) for image in images()]
    objects = [{key: tensor.to(device) for key, tensor in each.items()} for each in targets()]
    losses = []
    for number in range(len(SCHEDULES[schedule])):
        if number:
            state.begin_phase(number)
        for _ in range(2):
            found = detector_step(state.network, state.optimizer, pictures, objects, state.proposer)
            losses.append({name: loss.item() for name, loss in found.items()})
    return losses, detector.state_dict()


@pytest.mark.parametrize("pooling", ["max", "align"])
def test_detections_are_those_of_the_cpu(pooling: str) -> None:
    """With the appendix's improvements, and masks."""
    improvements = Improvements(box_refinement=True, scales=(48, 64))
    found = []
    for device in (CUDA, CPU):
        make_repeatable(device)
        options = {"masks": True, "roi_pooling": pooling, "global_context": True}
        detector = small_detector(**options).eval().to(device)
        found.append(detect([detector], images(), improvements))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours.scores, expected.scores, atol=1e-3, rtol=0)
        torch.testing.assert_close(ours.boxes[:3], expected.boxes[:3], atol=0.05, rtol=0)
        assert torch.equal(ours.labels[:3], expected.labels[:3])
        assert (ours.masks[:3] == expected.masks[:3]).double().mean() > 0.99


def test_a_localizers_run(tmp_path: Path) -> None:
    data = open_localization_data(two_classes(tmp_path / "tiny"))
    weights = tiny_weights(tmp_path / "weights.safetensors")
    recipe = localization_recipe(4, "log_every=1", "eval_every=2")
    folders = [RunFolder(tmp_path / name) for name in ("cuda", "again", "cpu")]
    for folder, device in zip(folders, ("cuda", "cuda", "cpu"), strict=True):
        train(recipe, folder.path, data, weights=weights, device=device, workers=0)
    assert_same_bits(*folders[:2])
    on_cuda, on_cpu = (losses_of(folder) for folder in folders[1:])
    assert on_cuda[0] == pytest.approx(on_cpu[0], rel=0.01)

    pixels = torch.randint(256, (2, 3, 40, 56), generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[0, 1], [1, 0]])
    scores = []
    for device in (CUDA, CPU):
        localizer, _ = load_localizer(folders[0].path, device)
        found = localizer(pixels.to(device, torch.uint8), classes.to(device))
        scores.append(found[1].sigmoid().cpu())
        test = BoxedImages.of(data.test)
        boxes = locate(localizer, test, test.classes[:, None], "multi-scale", Execution(device))
        assert boxes.isfinite().all()
        assert (boxes[..., 2:] > boxes[..., :2]).all()
    torch.testing.assert_close(*scores, atol=1e-4, rtol=0)
