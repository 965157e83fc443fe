"""The paper's own numbers: detection (§4.3, appendices A and B) and localization (appendix C).

Mean average precisions and errors are in percent. What is not trained here has no ``network``: it
is published only.
"""

from dataclasses import dataclass

from deepres.run_contents import CONTEXT, MULTI_SCALE, REFINEMENT


@dataclass(frozen=True)
class Benchmark:
    """Images that detectors are tested on, and how."""

    label: str
    """As the paper has it."""
    set: str
    """As evaluations.json has it."""
    images: int | None
    """How many; None: no test of ours is of these."""
    rule: str
    """How average precision is computed: "11-point", "area", "imagenet-det" or "coco"."""
    dataset: str
    """The recipe whose detectors are tested on it."""


VOC07_TEST = Benchmark("VOC07 test", "VOC 2007 test", 4_952, "11-point", "voc07+12")
VOC12_TEST = Benchmark("VOC12 test", "VOC 2012 test", 10_991, "area", "voc07++12")
COCO_VAL = Benchmark("COCO val", "COCO 2014 val", 40_504, "coco", "coco")
COCO_TEST_DEV = Benchmark("COCO test-dev", "COCO 2015 test-dev", 20_288, "coco", "coco-trainval")
DET_VAL2 = Benchmark("ImageNet DET val2", "ImageNet DET val2", None, "imagenet-det", "imagenet-det")
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


TABLE_7 = (
    DetectionResult("VGG-16", VOC07_TEST, 73.2, None, "vgg16"),
    DetectionResult("ResNet-101", VOC07_TEST, 76.4, None, "resnet101"),
    DetectionResult("VGG-16", VOC12_TEST, 70.4, None, "vgg16"),
    DetectionResult("ResNet-101", VOC12_TEST, 73.8, None, "resnet101"),
)
"""§4.3: PASCAL VOC, trained on 07+12 and on 07++12."""


@dataclass(frozen=True)
class ClassPrecisions:
    """A row of Tables 10 and 11: average precision at an overlap of 0.5."""

    label: str
    test: Benchmark
    map_pct: float
    of_classes_pct: tuple[float, ...]
    """In the order of ``voc_classes.VOC_CLASSES``."""
    network: str | None = None


TABLE_10 = (
    ClassPrecisions(
        "VGG-16",
        VOC07_TEST,
        map_pct=73.2,
        of_classes_pct=(
            *(76.5, 79.0, 70.9, 65.5, 52.1, 83.1, 84.7, 86.4, 52.0, 81.9),
            *(65.7, 84.8, 84.6, 77.5, 76.7, 38.8, 73.6, 73.9, 83.0, 72.6),
        ),
        network="vgg16",
    ),
    ClassPrecisions(
        "ResNet-101",
        VOC07_TEST,
        map_pct=76.4,
        of_classes_pct=(
            *(79.8, 80.7, 76.2, 68.3, 55.9, 85.1, 85.3, 89.8, 56.7, 87.8),
            *(69.4, 88.3, 88.9, 80.9, 78.4, 41.7, 78.6, 79.8, 85.3, 72.0),
        ),
        network="resnet101",
    ),
    ClassPrecisions(
        "ResNet-101, all improvements, COCO too",
        VOC07_TEST,
        map_pct=85.6,
        of_classes_pct=(
            *(90.0, 89.6, 87.8, 80.8, 76.1, 89.9, 89.9, 89.6, 75.5, 90.0),
            *(80.7, 89.6, 90.3, 89.1, 88.7, 65.4, 88.1, 85.6, 89.0, 86.8),
        ),
    ),
)
"""Appendix B: PASCAL VOC 2007's test images, class by class. All improvements are Table 9's, and
the detector starts from COCO's."""

TABLE_11 = (
    ClassPrecisions(
        "VGG-16",
        VOC12_TEST,
        map_pct=70.4,
        of_classes_pct=(
            *(84.9, 79.8, 74.3, 53.9, 49.8, 77.5, 75.9, 88.5, 45.6, 77.1),
            *(55.3, 86.9, 81.7, 80.9, 79.6, 40.1, 72.6, 60.9, 81.2, 61.5),
        ),
        network="vgg16",
    ),
    ClassPrecisions(
        "ResNet-101",
        VOC12_TEST,
        map_pct=73.8,
        of_classes_pct=(
            *(86.5, 81.6, 77.2, 58.0, 51.0, 78.6, 76.6, 93.2, 48.6, 80.4),
            *(59.0, 92.1, 85.3, 84.8, 80.7, 48.1, 77.3, 66.5, 84.7, 65.6),
        ),
        network="resnet101",
    ),
    ClassPrecisions(
        "ResNet-101, all improvements, COCO too",
        VOC12_TEST,
        map_pct=83.8,
        of_classes_pct=(
            *(92.1, 88.4, 84.8, 75.9, 71.4, 86.3, 87.8, 94.2, 66.8, 89.4),
            *(69.2, 93.9, 91.9, 90.9, 89.6, 67.9, 88.2, 76.8, 90.3, 80.0),
        ),
    ),
)
"""The same of PASCAL VOC 2012's."""

TABLE_8 = (
    DetectionResult("VGG-16", COCO_VAL, 41.5, 21.2, "vgg16"),
    DetectionResult("ResNet-101", COCO_VAL, 48.4, 27.2, "resnet101"),
)
"""§4.3: COCO, trained on the 80k images of train."""

TABLE_9 = (
    *TABLE_8,
    DetectionResult("+ box refinement", COCO_VAL, 49.9, 29.9, "resnet101", (REFINEMENT,)),
    DetectionResult("+ global context", COCO_VAL, 51.1, 30.0, "resnet101", (REFINEMENT, CONTEXT)),
    DetectionResult(
        "+ multi-scale testing",
        COCO_VAL,
        map_50_pct=53.8,
        map_pct=32.5,
        network="resnet101",
        improvements=(REFINEMENT, CONTEXT, MULTI_SCALE),
    ),
    DetectionResult("with context, trained on train and val", COCO_TEST_DEV, 53.3, 32.2),
    DetectionResult("all of these, trained on train and val", COCO_TEST_DEV, 55.7, 34.9),
    DetectionResult("ensemble of three", COCO_TEST_DEV, 59.0, 37.4),
)
"""Appendix B: improvements, each on top of those above it."""

TABLE_12 = (
    DetectionResult("GoogLeNet (ILSVRC'14)", DET_TEST, 43.9),
    DetectionResult("ResNet-101, all improvements", DET_VAL2, 60.5),
    DetectionResult("ResNet-101, all improvements", DET_TEST, 58.8),
    DetectionResult("ensemble of three", DET_VAL2, 63.6),
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
    kind: str = "localization"
    """Of the recipe that trains it."""
    ensemble: bool = False


RCNN = "localization-rcnn"

TABLE_13 = (
    LocalizationResult("VGG's, VGG-16", "1-crop", "ground truth", 33.1),
    LocalizationResult("RPN, ResNet-101", "1-crop", "ground truth", 13.3, "resnet101"),
    LocalizationResult("RPN, ResNet-101", "multi-scale", "ground truth", 11.7, "resnet101"),
    LocalizationResult("RPN, ResNet-101", "multi-scale", "predicted", 14.4, "resnet101"),
    LocalizationResult(
        "RPN + R-CNN, ResNet-101",
        views="multi-scale",
        classes="predicted",
        error_pct=10.6,
        network="resnet101",
        kind=RCNN,
    ),
    LocalizationResult(
        "RPN + R-CNN, ensemble",
        views="multi-scale",
        classes="predicted",
        error_pct=8.9,
        network="resnet101",
        kind=RCNN,
        ensemble=True,
    ),
)
"""Appendix C: errors on ImageNet's validation images. The predicted classes are those of a network
tested at several scales. What is "multi-scale" here, and in Table 4, is the appendix's "dense"."""

TABLE_14 = (
    ("OverFeat (ILSVRC'13)", 30.0, 29.9),
    ("GoogLeNet (ILSVRC'14)", None, 26.7),
    ("VGG (ILSVRC'14)", 26.9, 25.3),
    ("ResNet (ILSVRC'15), RPN + R-CNN, ensemble", 8.9, 9.0),
)
"""Appendix C: top-5 errors of localization of competing methods, on the validation and on the test
images."""
