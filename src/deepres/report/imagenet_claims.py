"""What the paper claims of its networks on ImageNet."""

from deepres.report.claim import Claim
from deepres.report.comparisons import Above, Within, falling
from deepres.report.measures import (
    EARLY_TRAINING,
    TOP1_10_CROP,
    TOP5_MULTI_SCALE,
    TRAINING,
    TRAINING_AT,
)
from deepres.report.published import TABLE_5

SAME_ERROR, SLIGHTLY = 0.5, 1.0
"""Points of top-1 error: less than so much apart is alike, is slightly better. At 34 layers plain
and residual differ by 3.5."""
BEST_ENSEMBLE = min(
    (row for row in TABLE_5 if row.network is None and row.top5_pct is not None),
    key=lambda row: row.top5_pct or 100.0,
)
DEEPER = ("resnet50", "resnet101", "resnet152")

IMAGENET_CLAIMS = (
    Claim(
        "imagenet-degradation",
        "Plain nets degrade on ImageNet, too",
        "§4.1, Table 2, Figure 4",
        "On ImageNet the 34-layer plain net is worse than the 18-layer one, in training and in "
        "validation.",
        (Above(TRAINING, ("plain34", "plain18")), Above(TOP1_10_CROP, ("plain34", "plain18"))),
    ),
    Claim(
        "imagenet-degradation-throughout",
        "Plain-34 is worse throughout training",
        "§4.1, Figure 4",
        "The 34-layer plain net has the higher training error throughout: after each quarter of "
        "the training.",
        tuple(Above(measure, ("plain34", "plain18")) for measure in TRAINING_AT),
    ),
    Claim(
        "imagenet-no-degradation",
        "Residual nets do not degrade on ImageNet",
        "§4.1, Table 2, Figure 4",
        "On ImageNet ResNet-34 is better than ResNet-18, in training and in validation.",
        (Above(TRAINING, ("resnet18", "resnet34")), Above(TOP1_10_CROP, ("resnet18", "resnet34"))),
    ),
    Claim(
        "18-layers-are-alike",
        "At 18 layers plain and residual are alike",
        "§4.1, Table 2",
        "At 18 layers the plain and the residual net are comparably accurate: they differ by less "
        f"than {SAME_ERROR} points (the margin is ours).",
        (Within(TOP1_10_CROP, ("plain18", "resnet18"), low=-SAME_ERROR, high=SAME_ERROR),),
    ),
    Claim(
        "converges-faster",
        "ResNet-18 converges faster than plain-18",
        "§4.1, Figure 4",
        "The 18-layer residual net converges faster than the plain one: its training error is "
        "lower half-way to the first drop of the learning rate.",
        (Above(EARLY_TRAINING, ("plain18", "resnet18")),),
    ),
    Claim(
        "options-beat-plain",
        "Options A, B and C beat the plain net",
        "§4.1, Table 3",
        "ResNet-34 with each of the shortcut options A, B and C is better than plain-34.",
        tuple(
            Above(TOP1_10_CROP, ("plain34", network))
            for network in ("resnet34", "resnet34 B", "resnet34 C")
        ),
    ),
    Claim(
        "options-differ-slightly",
        "B is slightly better than A, and C than B",
        "§4.1, Table 3",
        "Option B is slightly better than A, and C than B: by less than a point (the margin is "
        "ours). So projections are not essential.",
        (
            Within(TOP1_10_CROP, ("resnet34", "resnet34 B"), low=0, high=SLIGHTLY),
            Within(TOP1_10_CROP, ("resnet34 B", "resnet34 C"), low=0, high=SLIGHTLY),
        ),
    ),
    Claim(
        "bottlenecks-go-deeper",
        "50, 101 and 152 layers are better still",
        "§4.1, Table 3",
        "The networks of 50, 101 and 152 layers are better than the 34-layer one with the same "
        "option, and the better the deeper.",
        (
            *(Above(TOP1_10_CROP, ("resnet34 B", network)) for network in DEEPER),
            *falling(TOP1_10_CROP, "resnet34 B", *DEEPER),
        ),
    ),
    Claim(
        "152-beats-ensembles",
        "One ResNet-152 beats all earlier ensembles",
        "§4.1, Tables 4 and 5",
        "A single ResNet-152 has a lower top-5 error, on the validation images, than every earlier "
        f"ensemble on the test images: the best, {BEST_ENSEMBLE.label}, has "
        f"{BEST_ENSEMBLE.top5_pct} %.",
        (Above(TOP5_MULTI_SCALE, (BEST_ENSEMBLE.top5_pct or 0.0, "resnet152")),),
    ),
)
