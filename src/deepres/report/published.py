"""The paper's own numbers."""

MULTIPLY_ADDS_G = {
    **{"plain18": 1.8, "plain34": 3.6},
    **{"resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8, "resnet101": 7.6, "resnet152": 11.3},
    **{"vgg16": 15.3, "vgg19": 19.6},
}
"""10⁹ multiply-adds for a 224×224 image: Table 1, Figure 3 and §3.3."""

PARAMETERS_M = {
    **{"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85},
    **{"resnet110": 1.7, "resnet1202": 19.4},
    **{"highway19": 2.3, "highway32": 1.25},
}
"""10⁶ parameters: Table 6. A plain network has as many as its residual twin."""
