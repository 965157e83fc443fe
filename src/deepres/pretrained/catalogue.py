"""Where published weights are: addresses that do not change, and the checksums that are known."""

from typing import NamedTuple

from deepres.models.exchange.importing import Source
from deepres.models.resnet import Pool

TORCHVISION = "https://download.pytorch.org/models"
DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet"


class Address(NamedTuple):
    """A file of weights."""

    url: str
    layout: Source
    file: str
    """What it is called where it is kept."""
    algorithm: str = "sha256"
    digest: str = ""
    """Its checksum, or the beginning of it; "": nobody has published one."""
    pool: Pool | None = None
    """How the network pools; None: as the layout's program."""


def _torchvision(file: str) -> Address:
    """Return the address of a file whose name ends, as torch.hub has it, in its checksum."""
    digest = file.rpartition("-")[2].partition(".")[0]
    return Address(f"{TORCHVISION}/{file}", "torchvision", file, digest=digest)


def _detectron2(depth: int) -> Address:
    url, file = f"{DETECTRON2}/R-{depth}.pkl", f"detectron2-MSRA-R-{depth}.pkl"
    return Address(url, "detectron", file, pool="ceil")


def _keras(depth: int, md5: str) -> Address:
    file = f"resnet{depth}_weights_tf_dim_ordering_tf_kernels.h5"
    return Address(f"{KERAS}/{file}", "keras", file, "md5", md5, pool="ceil")


PUBLISHED: dict[str, dict[str, Address]] = {
    # The authors' own (MSRA). detectron2's conversions keep BN's statistics and the classifier;
    # it has none of ResNet-152. OpenMMLab's have no classifier.
    "msra": {
        "resnet50": _detectron2(50),
        "resnet101": _detectron2(101),
        "resnet152": _keras(152, "100835be76be38e30d865e96f2aaae62"),
    },
    # IMAGENET1K_V1 of each: trained by a recipe near the paper's.
    "torchvision": {
        "resnet18": _torchvision("resnet18-f37072fd.pth"),
        "resnet34": _torchvision("resnet34-b627a593.pth"),
        "resnet50": _torchvision("resnet50-0676ba61.pth"),
        "resnet101": _torchvision("resnet101-63fe2227.pth"),
        "resnet152": _torchvision("resnet152-394f9c45.pth"),
        "vgg16": _torchvision("vgg16-397923af.pth"),
        "vgg19": _torchvision("vgg19-dcbb9e9d.pth"),
    },
}
"""By whose they are, in the order in which they are preferred, and by network."""
