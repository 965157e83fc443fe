"""All claims of the paper, in its order."""

from deepres.report.cifar_claims import CIFAR_CLAIMS
from deepres.report.detection_claims import DETECTION_CLAIMS
from deepres.report.imagenet_claims import IMAGENET_CLAIMS
from deepres.report.signal_claims import SIGNAL_CLAIMS

CLAIMS = (*CIFAR_CLAIMS, *SIGNAL_CLAIMS, *IMAGENET_CLAIMS, *DETECTION_CLAIMS)
