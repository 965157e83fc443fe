"""The paper's own numbers: detection (§4.3, appendices A and B) and localization (appendix C).

Mean average precisions and errors are in percent. What is not trained here has no ``network``: it
is published only.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """Images that detectors are tested on, and how."""

    label: str
    """As the paper has it."""
    set: str
    """As evaluations.json has it."""
    images: int
    rule: str
    """How average precision is computed: "11-point", "area", "imagenet-det" or "coco"."""
    dataset: str
    """The recipe whose detectors are tested on it."""


VOC07_TEST = Benchmark("VOC07 test", "VOC 2007 test", 4_952, "11-point", "voc07+12")
VOC12_TEST = Benchmark("VOC12 test", "VOC 2012 test", 10_991, "area", "voc07++12")
COCO_VAL = Benchmark("COCO val", "COCO 2014 val", 40_504, "coco", "coco")
COCO_TEST_DEV = Benchmark("COCO test-dev", "COCO 2015 test-dev", 20_288, "coco", "coco")
DET_TEST = Benchmark(
    "ImageNet DET test", "ImageNet DET test", 51_294, "imagenet-det", "imagenet-det"
)


@dataclass(frozen=True)
class DetectionResult:
    """Mean average precision of Faster R-CNN."""

    label: str
    test: Benchmark
    map_50_pct: float
    """At an overlap of 0.5."""
    map_pct: float | None = None
    """The mean over overlaps from 0.5 to 0.95; None: COCO alone uses it."""
    network: str | None = None
    improvements: tuple[str, ...] = ()
    """Appendix B's, as evaluations.json names them."""


REFINEMENT, CONTEXT, MULTI_SCALE = "box refinement", "global context", "multi-scale"

TABLE_7 = (
    DetectionResult("VGG-16", VOC07_TEST, 73.2, None, "vgg16"),
    DetectionResult("ResNet-101", VOC07_TEST, 76.4, None, "resnet101"),
    DetectionResult("VGG-16", VOC12_TEST, 70.4, None, "vgg16"),
    DetectionResult("ResNet-101", VOC12_TEST, 73.8, None, "resnet101"),
)
"""§4.3: PASCAL VOC, trained on 07+12 and on 07++12."""

TABLES_10_11 = (
    DetectionResult("ResNet-101, all improvements, COCO too", VOC07_TEST, 85.6),
    DetectionResult("ResNet-101, all improvements, COCO too", VOC12_TEST, 83.8),
)
"""Appendix B: PASCAL VOC with all of Table 9's improvements, from the detector trained on COCO."""

TABLE_8 = (
    DetectionResult("VGG-16", COCO_VAL, 41.5, 21.2, "vgg16"),
    DetectionResult("ResNet-101", COCO_VAL, 48.4, 27.2, "resnet101"),
)
"""§4.3: COCO, trained on the 80k images of train."""

TABLE_9 = (
    DetectionResult("ResNet-101", COCO_VAL, 48.4, 27.2, "resnet101"),
    DetectionResult("+ box refinement", COCO_VAL, 49.9, 29.9, "resnet101", (REFINEMENT,)),
    DetectionResult("+ global context", COCO_VAL, 51.1, 30.0, "resnet101", (REFINEMENT, CONTEXT)),
    DetectionResult(
        *("+ multi-scale testing", COCO_VAL, 53.8, 32.5, "resnet101"),
        (REFINEMENT, CONTEXT, MULTI_SCALE),
    ),
    DetectionResult("all of these, trained on train and val", COCO_TEST_DEV, 55.7, 34.9),
    DetectionResult("ensemble of three", COCO_TEST_DEV, 59.0, 37.4),
)
"""Appendix B: improvements, each on top of those above it."""

TABLE_12 = (
    DetectionResult("ResNet-101, all improvements", DET_TEST, 58.8),
    DetectionResult("ensemble of three", DET_TEST, 62.1),
)
"""Appendix B: ImageNet DET's 200 classes."""


@dataclass(frozen=True)
class LocalizationResult:
    """An error of localization on ImageNet, over the five likeliest classes or for the true one."""

    label: str
    views: str
    """What is seen of an image: "1-crop", or "multi-scale", all of it at several scales."""
    classes: str
    """Whose: "ground truth" or "predicted"."""
    error_pct: float
    network: str | None = None


TABLE_13 = (
    LocalizationResult("VGG's, VGG-16", "1-crop", "ground truth", 33.1),
    LocalizationResult("RPN, ResNet-101", "1-crop", "ground truth", 13.3, "resnet101"),
    LocalizationResult("RPN, ResNet-101", "multi-scale", "ground truth", 11.7, "resnet101"),
    LocalizationResult("RPN, ResNet-101", "multi-scale", "predicted", 14.4, "resnet101"),
    LocalizationResult("RPN + R-CNN, ResNet-101", "multi-scale", "predicted", 10.6),
    LocalizationResult("RPN + R-CNN, ensemble", "multi-scale", "predicted", 8.9),
    LocalizationResult("RPN + R-CNN, ensemble, test images", "multi-scale", "predicted", 9.0),
)
"""Appendix C: errors on ImageNet's validation images; the last, of Table 14, on its test images.
The predicted classes are those of a network tested at several scales."""
