"""The paper's own numbers: classification. Those of detection are in published_detection.py.

Errors are in percent. What stands in a table but is not trained here
has no ``network``: it is published only.
"""

from dataclasses import dataclass

MULTIPLY_ADDS_G = {
    "plain18": 1.8,
    "plain34": 3.6,
    "resnet18": 1.8,
    "resnet34": 3.6,
    "resnet50": 3.8,
    "resnet101": 7.6,
    "resnet152": 11.3,
    "vgg16": 15.3,
    "vgg19": 19.6,
}
"""10⁹ multiply-adds for a 224×224 image: Table 1, Figure 3 and §3.3."""

PARAMETERS_M = {
    "resnet20": 0.27,
    "resnet32": 0.46,
    "resnet44": 0.66,
    "resnet56": 0.85,
    "resnet110": 1.7,
    "resnet1202": 19.4,
    "highway19": 2.3,
    "highway32": 1.25,
}
"""10⁶ parameters: Table 6. A plain network has as many as its residual twin."""


@dataclass(frozen=True)
class ImageNetResult:
    """A row of Tables 2 to 5; None: the paper does not print it."""

    label: str
    top1_pct: float | None
    top5_pct: float | None
    network: str | None = None
    shortcut: str | None = None
    """The shortcut option, "A", "B" or "C"; None: plain, or no network of ours."""
    decimals: int = 2
    """How many the paper prints."""


TABLE_2 = (
    ImageNetResult("plain, 18 layers", 27.94, None, "plain18"),
    ImageNetResult("plain, 34 layers", 28.54, None, "plain34"),
    ImageNetResult("ResNet, 18 layers", 27.88, None, "resnet18", "A"),
    ImageNetResult("ResNet, 34 layers", 25.03, None, "resnet34", "A"),
)
"""§4.1: errors on ImageNet's validation images, 10-crop."""

TABLE_3 = (
    ImageNetResult("VGG-16", 28.07, 9.33),
    ImageNetResult("GoogLeNet", None, 9.15),
    ImageNetResult("PReLU-net", 24.27, 7.38),
    ImageNetResult("plain-34", 28.54, 10.02, "plain34"),
    ImageNetResult("ResNet-34 A", 25.03, 7.76, "resnet34", "A"),
    ImageNetResult("ResNet-34 B", 24.52, 7.46, "resnet34", "B"),
    ImageNetResult("ResNet-34 C", 24.19, 7.40, "resnet34", "C"),
    ImageNetResult("ResNet-50", 22.85, 6.71, "resnet50", "B"),
    ImageNetResult("ResNet-101", 21.75, 6.05, "resnet101", "B"),
    ImageNetResult("ResNet-152", 21.43, 5.71, "resnet152", "B"),
)
"""§4.1: errors on ImageNet's validation images, 10-crop."""

TABLE_4 = (
    ImageNetResult("VGG (ILSVRC'14), test images", None, 8.43),
    ImageNetResult("GoogLeNet (ILSVRC'14)", None, 7.89),
    ImageNetResult("VGG (v5)", 24.4, 7.1, decimals=1),
    ImageNetResult("PReLU-net", 21.59, 5.71),
    ImageNetResult("BN-inception", 21.99, 5.81),
    ImageNetResult("ResNet-34 B", 21.84, 5.71, "resnet34", "B"),
    ImageNetResult("ResNet-34 C", 21.53, 5.60, "resnet34", "C"),
    ImageNetResult("ResNet-50", 20.74, 5.25, "resnet50", "B"),
    ImageNetResult("ResNet-101", 19.87, 4.60, "resnet101", "B"),
    ImageNetResult("ResNet-152", 19.38, 4.49, "resnet152", "B"),
)
"""§4.1: errors of single networks on ImageNet's validation images, multi-scale; the first row's is
on the test images."""

TABLE_5 = (
    ImageNetResult("VGG (ILSVRC'14)", None, 7.32),
    ImageNetResult("GoogLeNet (ILSVRC'14)", None, 6.66),
    ImageNetResult("VGG (v5)", None, 6.8, decimals=1),
    ImageNetResult("PReLU-net", None, 4.94),
    ImageNetResult("BN-inception", None, 4.82),
    ImageNetResult("ResNet (ILSVRC'15)", None, 3.57, "ensemble"),
)
"""§4.1: errors of ensembles on ImageNet's test images. ResNet's has six networks of different
depths, two of them with 152 layers."""

RELEASED_1_CROP = (
    ImageNetResult("VGG-16, its authors'", 28.5, 9.9, decimals=1),
    ImageNetResult("ResNet-50", 24.7, 7.8, "resnet50", "B", decimals=1),
    ImageNetResult("ResNet-101", 23.6, 7.1, "resnet101", "B", decimals=1),
    ImageNetResult("ResNet-152", 23.0, 6.7, "resnet152", "B", decimals=1),
)
"""Released models, on the centre crop of ImageNet's validation images, as the paper's authors list
them beside theirs."""

VALIDATION_IMAGES, TEST_IMAGES = 50_000, 100_000
"""How many images of ImageNet Tables 2 to 4, and Table 5, count."""
LOCALIZATION_IMAGES = VALIDATION_IMAGES - 1_762
"""How many of the validation images ILSVRC's own test of localization counts, and so Table 13."""
CIFAR_TEST_IMAGES = 10_000
"""How many images of CIFAR-10 Table 6 counts."""


@dataclass(frozen=True)
class CifarResult:
    """A row of Table 6; None: the paper does not print it."""

    label: str
    error_pct: float
    network: str | None = None
    layers: int | None = None
    parameters: str = ""
    """As printed: "0.27 M"."""
    mean_pct: float | None = None
    """The mean over several runs, of which ``error_pct`` is the best."""
    std_pct: float | None = None
    runs: int | None = None


TABLE_6 = (
    CifarResult("Maxout", 9.38),
    CifarResult("NIN", 8.81),
    CifarResult("DSN", 8.22),
    CifarResult("FitNet", 8.39, None, 19, "2.5 M"),
    CifarResult("Highway-19", 7.54, "highway19", 19, "2.3 M", 7.72, 0.16),
    CifarResult("Highway-32", 8.80, "highway32", 32, "1.25 M"),
    CifarResult("ResNet-20", 8.75, "resnet20", 20, "0.27 M"),
    CifarResult("ResNet-32", 7.51, "resnet32", 32, "0.46 M"),
    CifarResult("ResNet-44", 7.17, "resnet44", 44, "0.66 M"),
    CifarResult("ResNet-56", 6.97, "resnet56", 56, "0.85 M"),
    CifarResult("ResNet-110", 6.43, "resnet110", 110, "1.7 M", 6.61, 0.16, 5),
    CifarResult("ResNet-1202", 7.93, "resnet1202", 1202, "19.4 M"),
)
"""§4.2: errors on CIFAR-10's test images, trained with augmentation."""

CIFAR_STEPS, IMAGENET_STEPS = 64_000, 600_000
"""How many steps training takes (§4.2, §3.4)."""

PLAIN_110_ERROR_ABOVE_PCT = 60.0
"""§4.2, Figure 6: plain-110 is not drawn, for its error stays above this."""
RESNET_1202_TRAINING_ERROR_BELOW_PCT = 0.1
"""§4.2; its test error is nevertheless above ResNet-110's."""
