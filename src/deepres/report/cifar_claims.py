"""What the paper claims of its networks on CIFAR-10."""

from deepres.report.claim import Claim
from deepres.report.comparisons import Above, Within, falling
from deepres.report.measures import LOWEST_TEST, RESPONSE, TEST, TRAINING
from deepres.report.published import (
    PLAIN_110_ERROR_ABOVE_PCT,
    RESNET_1202_TRAINING_ERROR_BELOW_PCT,
)

PLAIN = ("plain56", "plain44", "plain32", "plain20")
RESIDUAL = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
SAME_ERROR = 0.5
"""Errors that differ by less, in points, are alike."""
GATES_ARE_OURS = (
    "The paper quotes the highway nets' errors; here they are trained by the ResNets' recipe, and "
    "not by their authors'."
)

CIFAR_CLAIMS = (
    Claim(
        "degradation",
        "Plain nets degrade with depth",
        "§1, §4.2, Figure 1",
        "Plain nets degrade: the 56-layer net has a higher training error than the 20-layer one, "
        "and so a higher test error.",
        (Above(TRAINING, ("plain56", "plain20")), Above(TEST, ("plain56", "plain20"))),
    ),
    Claim(
        "plain-nets-get-worse",
        "Plain nets get worse step by step",
        "§4.2, Figure 6",
        "The deeper a plain net, the higher its training error and its test error: from 20 to 32, "
        "44 and 56 layers.",
        (*falling(TRAINING, *PLAIN), *falling(TEST, *PLAIN)),
    ),
    Claim(
        "plain-110-fails",
        "Plain-110 stays above 60 %",
        "§4.2, Figure 6",
        "The 110-layer plain net is not drawn in Figure 6, for its error stays above 60 %.",
        (Above(LOWEST_TEST, ("plain110", PLAIN_110_ERROR_ABOVE_PCT)),),
    ),
    Claim(
        "no-degradation",
        "Residual nets do not degrade",
        "§4.2, Figure 6",
        "Residual nets do not degrade: ResNet-56 has a lower training error than ResNet-20.",
        (Above(TRAINING, ("resnet20", "resnet56")),),
    ),
    Claim(
        "deeper-is-better",
        "Deeper residual nets are better",
        "§4.2, Table 6",
        "Deeper residual nets are better: the test error falls from 20 to 32, 44, 56 and 110 "
        "layers.",
        falling(TEST, *RESIDUAL),
    ),
    Claim(
        "residual-beats-plain",
        "Residual beats plain at 56 layers",
        "§4.2, Figure 6",
        "At 56 layers the residual net beats its plain twin, in training and in test.",
        (Above(TRAINING, ("plain56", "resnet56")), Above(TEST, ("plain56", "resnet56"))),
    ),
    Claim(
        "one-layer-brings-nothing",
        "A residual function of one layer brings nothing",
        "§3.2",
        "Of residual functions of a single layer, y = W₁x + x, no advantage was seen: ResNet-20 of "
        f"such blocks tests less than {SAME_ERROR} points better than plain-20 (the margin is "
        "ours, and so is the network).",
        (Above(TEST, ("resnet20 one-layer", "plain20"), by=-SAME_ERROR),),
        ours=True,
    ),
    Claim(
        "110-is-best",
        "ResNet-110 is the best",
        "§4.2, Table 6",
        "ResNet-110 has the lowest test error of all.",
        tuple(Above(TEST, (network, "resnet110")) for network in (*RESIDUAL[:-1], "resnet1202")),
    ),
    Claim(
        "1202-overfits",
        "ResNet-1202 overfits",
        "§4.2, Table 6",
        "ResNet-1202 trains to an error below 0.1 %, and yet tests worse than ResNet-110: it "
        "overfits.",
        (
            Above(TRAINING, (RESNET_1202_TRAINING_ERROR_BELOW_PCT, "resnet1202")),
            Above(TEST, ("resnet1202", "resnet110")),
        ),
    ),
    Claim(
        "1202-trains-alike",
        "ResNet-110 and 1202 train alike",
        "§4.2, Figure 6",
        "ResNet-110 and ResNet-1202 have similar training errors: they differ by less than "
        f"{SAME_ERROR} points (the margin is ours).",
        (Within(TRAINING, ("resnet110", "resnet1202"), low=-SAME_ERROR, high=SAME_ERROR),),
    ),
    Claim(
        "identity-beats-gates",
        "Identity shortcuts beat gates",
        "§2, Table 6",
        "Identity shortcuts do better than gated ones: ResNet-32 tests better than the 32-layer "
        f"highway net. {GATES_ARE_OURS}",
        (Above(TEST, ("highway32", "resnet32")),),
        ours=True,
    ),
    Claim(
        "identity-beats-gates-with-fewer-parameters",
        "Identity beats gates with fewer parameters",
        "§4.2, Table 6",
        "Residual nets test better than highway nets that have more parameters: ResNet-56 (0.85 M) "
        "than highway-32 (1.25 M), and ResNet-110 (1.7 M) than highway-19 (2.3 M). "
        f"{GATES_ARE_OURS}",
        (Above(TEST, ("highway32", "resnet56")), Above(TEST, ("highway19", "resnet110"))),
        ours=True,
    ),
    Claim(
        "residual-responses-are-smaller",
        "Residual nets respond less than plain ones",
        "§4.2, Figure 7",
        "The layers of residual nets respond less than those of plain nets.",
        (Above(RESPONSE, ("plain20", "resnet20")), Above(RESPONSE, ("plain56", "resnet56"))),
    ),
    Claim(
        "responses-shrink-with-depth",
        "Deeper residual nets respond less",
        "§4.2, Figure 7",
        "The deeper a residual net, the less its layers respond: from 20 to 56 to 110 layers.",
        falling(RESPONSE, "resnet20", "resnet56", "resnet110"),
    ),
)
