"""What the paper claims of object detection."""

from deepres.report.claim import Claim
from deepres.report.comparisons import Above, Within
from deepres.report.measures import MAP, MAP_50, MAP_RATIO
from deepres.report.names import papers_detector
from deepres.report.samples import Measure

BETTER = "Faster R-CNN on ResNet-101 is better than on VGG-16, everything else equal: "


def _detectors(data: str) -> tuple[str, str]:
    """Return ResNet-101's and VGG-16's detectors, as runs are grouped."""
    return papers_detector("resnet101", data), papers_detector("vgg16", data)


def _better(data: str, *measures: Measure) -> tuple[Above, ...]:
    return tuple(Above(measure, _detectors(data)) for measure in measures)


DETECTION_CLAIMS = (
    Claim(
        "depth-transfers-to-voc07",
        "Depth helps detection: VOC 2007",
        "§4.3, Table 7",
        f"{BETTER}PASCAL VOC 2007.",
        _better("voc07+12", MAP_50),
    ),
    Claim(
        "depth-transfers-to-voc12",
        "Depth helps detection: VOC 2012",
        "§4.3, Table 7",
        f"{BETTER}PASCAL VOC 2012.",
        _better("voc07++12", MAP_50),
    ),
    Claim(
        "depth-transfers-to-coco",
        "Depth helps detection: COCO",
        "§4.3, Table 8",
        f"{BETTER}COCO, by both measures.",
        _better("coco", MAP_50, MAP),
    ),
    Claim(
        "coco-gain",
        "On COCO the gain is 6.0 points, 28 %",
        "§1, §4.3, Table 8",
        "On COCO, ResNet-101 gains 6.0 points of mAP@[.5, .95] over VGG-16, which is 28 % of "
        "VGG-16's: within 1 point, and within 5 %, of these (the margins are ours).",
        (
            Within(MAP, _detectors("coco"), low=5.0, high=7.0),
            Within(MAP_RATIO, _detectors("coco"), low=1.23, high=1.33),
        ),
    ),
)
