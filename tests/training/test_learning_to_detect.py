"""A detector learns, and several processes learn as one."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import assert_same_bits, resume, train
from safetensors.torch import load_file
from small_detection import TINY, narrow_networks, tiny_recipe, tiny_voc

from deepres.cli.main import main
from deepres.data.detection.records import AnnotatedImage, DetectionData
from deepres.data.detection.splits import open_detection_set
from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.detection.weights import load_detector
from deepres.recipes import detection_recipe
from deepres.run_folder import RunFolder
from deepres.training.interrupt import Interrupted

SMALL = [
    *("short_side=96", "long_side=160", "anchor_sizes=32,64,128", "rpn_channels=64"),
    *("rpn_sampled=64", "proposals_before_nms_train=200", "proposals_before_nms_test=100"),
    *("proposals_train=50", "proposals_test=30", "proposal_min_size=4", "regions_sampled=16"),
    *("region_background_iou=0", "train_border_anchors=true", "frozen_stages=0"),
]
FROM_SCRATCH = ["batch_norm=trained", "batch_size=4", "lr=0.03", "bias_lr_factor=1", "flip=false"]


def has_large_objects_only(image: AnnotatedImage) -> bool:
    objects = image.objects
    areas = (objects.boxes[:, 2:] - objects.boxes[:, :2]).prod(1) / (image.width * image.height)
    return len(areas) <= 2 and not objects.ignored.any() and bool((areas > 0.05).all())


@pytest.mark.slow
def test_a_small_backbone_fits_eight_images_of_voc(tmp_path: Path, voc2012_sample: Path) -> None:
    data = open_detection_set("voc2012-train", voc2012_sample)
    few = tuple(image for image in data.images if has_large_objects_only(image))[:8]
    data = dataclasses.replace(data, images=few)
    recipe = detection_recipe("voc07+12", "resnet18", "joint").scaled_to(400)
    recipe = dataclasses.replace(recipe, eval_every=400).changed([*SMALL, *FROM_SCRATCH])
    with narrow_networks():
        result = train(recipe, tmp_path / "run", DetectionData(data, data), workers=0)
    assert result["test_map_50_pct"] > 90


def test_a_detector_of_real_voc_images_starts_from_one_of_cocos(
    tmp_path: Path, coco_sample: Path, voc2012_sample: Path, interrupt_after
) -> None:
    """Appendix B, in miniature: 80 classes become 20."""
    coco = open_detection_set("coco2017-train", coco_sample)
    voc = DetectionData(
        *(open_detection_set(f"voc2012-{split}", voc2012_sample) for split in ("train", "val"))
    )
    with narrow_networks():
        first = tiny_recipe(2, "joint", "eval_images=1")
        train(first, tmp_path / "coco", DetectionData(coco, coco.spread(5)), workers=0)
        options = {"weights": tmp_path / "coco", "workers": 0}
        result = train(tiny_recipe(4, "4-step"), tmp_path / "voc", voc, **options)
        assert 0 <= result["test_map_50_pct"] <= 100
        assert result["initial_weights"]["source"] == "detector"
        detectors = [load_detector(tmp_path / name) for name in ("coco", "voc")]
        interrupt_after(3)
        with pytest.raises(Interrupted):
            train(tiny_recipe(4, "4-step"), tmp_path / "stopped", voc, **options)
        resume(tmp_path / "stopped", voc, workers=0)
    assert [len(detector.classes) for detector in detectors] == [80, 20]
    assert detectors[1].classes == VOC_CLASSES
    stem, theirs = (detector.backbone.conv1.weight for detector in detectors)
    assert torch.equal(stem, theirs)  # frozen, and COCO's
    assert_same_bits(RunFolder(tmp_path / "voc"), RunFolder(tmp_path / "stopped"))


ALL_ARE_DRAWN = [
    *("flip=false", "rpn_sampled=10000", "rpn_foreground_fraction=1", "train_border_anchors=true"),
    *("regions_sampled=1000", "region_foreground_fraction=1", "region_background_iou=0"),
    *("log_every=1", "eval_every=4"),
]
"""No draw is random, and with a single image all shares of a batch are alike."""


NARROW = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from small_detection import narrow_networks
from deepres.cli.main import main
with narrow_networks():
    sys.exit(main())
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_voc(tmp_path / "one image", images=1)
    command = ["detect", "train", "resnet18", "--on", "one image", "--steps", "4"]
    command += [f"--set={setting}" for setting in (*TINY, *ALL_ARE_DRAWN)]
    command += ["--device", "cpu", "--workers", "0"]
    monkeypatch.chdir(tmp_path)
    with narrow_networks():
        assert main([*command, "--out", "alone"]) == 0
    script = tmp_path / "narrow.py"
    script.write_text(NARROW)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start = [*torchrun, "--nproc-per-node", "2", str(script), str(Path(__file__).parents[1])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*start, *command, "--out", "together"], env=environment, check=True)

    one, two = RunFolder(tmp_path / "alone"), RunFolder(tmp_path / "together")
    assert two.read_meta()["provenance"]["processes"] == 2
    weights = load_file(two.weights)
    for name, tensor in load_file(one.weights).items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-5)
    for a, b in zip(one.read_events(), two.read_events(), strict=True):
        for key in a.keys() - {"images_per_s"}:
            assert b[key] == (pytest.approx(a[key], rel=1e-3) if "loss" in key else a[key])
