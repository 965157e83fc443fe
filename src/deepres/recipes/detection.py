"""§4.3: how the paper trains Faster R-CNN on PASCAL VOC and COCO."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from deepres.errors import UserError, unknown_name
from deepres.recipes.schema import Recipe

BatchNorm = Literal["frozen", "trained"]
RoiPooling = Literal["max", "align"]
Schedule = Literal["4-step", "joint"]
Rule = Literal["11-point", "area", "coco"]


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(Recipe):
    """How one detector is trained.

    ``model`` is the network that it is built on. ``steps`` counts those of all phases together,
    ``batch_size`` the images of a step that trains the regions' classifier.
    """

    kind: ClassVar[str] = "detection"
    identity: ClassVar[frozenset[str]] = Recipe.identity | {"dataset"}
    bound: ClassVar[dict[str, str]] = {
        **Recipe.bound,
        "schedule": "use --schedule",
        "phase_starts": "use --steps or --schedule",
    }

    dataset: str
    """One of ``DATASETS``."""
    train_set: str
    """The images to train on, a name that ``open_detection_set`` knows."""
    test_set: str | None
    """The images to test on; None: their annotations are not public."""
    rule: Rule
    """How average precision is computed."""
    schedule: Schedule = "4-step"
    """Faster R-CNN's alternating training, as in the paper, or proposals and regions at once."""
    phase_starts: tuple[int, ...]
    """The steps with which the second and later phases of the schedule begin, each with the
    learning rate from the start; none in joint training."""
    rpn_batch_size: int
    """The images of a step that trains the proposals alone."""
    bias_lr_factor: float = 2.0
    """Biases learn at so many times the rate of weights."""
    batch_norm: BatchNorm = "frozen"
    """Whether BN is a fixed affine map, as in the paper, or is trained on each batch."""
    roi: RoiPooling = "max"
    """How a region is pooled: RoI max pooling, as in the paper, or RoIAlign."""
    shorter_side: int = 600
    """What an image's shorter side is scaled to, in pixels, …"""
    longer_side: int = 1000
    """… unless its longer side would then exceed this."""
    anchor_sides: tuple[int, ...]
    """Sides in pixels of the square anchors; each has two oblong ones of the same area beside."""
    anchors_per_image: int = 256
    """How many anchors of an image are drawn for the RPN's loss."""
    regions_per_image: int = 64
    """How many proposals of an image are drawn for the detector's loss."""
    train_proposals: int = 2_000
    """How many proposals of an image are left by non-maximum suppression in training, …"""
    test_proposals: int = 300
    """… and in a test."""
    masks: bool = False
    """Whether objects are outlined, by a mask branch."""
    global_context: bool = False
    """Whether each region sees the whole image's feature too (appendix B)."""
    bad_boxes: Literal["fail", "drop"] = "fail"
    """What to do about an annotation that cannot be meant: stop, or leave it out."""
    eval_images: int = 500
    """How many test images, evenly spread, are watched in training; the last step tests on all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("rpn_batch_size", "shorter_side", "anchors_per_image", "regions_per_image")
        self._check_least(1, *counts, "train_proposals", "test_proposals", "eval_images")
        self._check_positive("bias_lr_factor")
        self._check(
            "longer_side",
            f"at least shorter_side={self.shorter_side}",
            self.longer_side >= self.shorter_side,
        )
        sides = self.anchor_sides
        rising = bool(sides) and sides[0] > 0 and list(sides) == sorted(set(sides))
        self._check("anchor_sides", "rising numbers of pixels", rising)
        starts, expected = self.phase_starts, 3 if self.schedule == "4-step" else 0
        self._check(
            "phase_starts",
            f"{expected} rising steps between 0 and steps={self.steps}",
            len(starts) == expected and list(starts) == sorted({*starts} - {0, self.steps}),
        )

    def shortened(self, steps: int) -> Self:
        """Return the recipe for ``steps`` steps, every milestone scaled in proportion."""
        if self.phase_starts and steps < 4:
            raise UserError(f"the 4-step schedule needs at least 4 steps, got {steps}")
        return super().shortened(steps)

    def _milestones(self, steps: int) -> dict[str, Any]:
        starts = self._scaled(self.phase_starts, steps)
        drops = self._scaled(self.lr_drops, steps)
        return {
            "phase_starts": starts,
            "lr_drops": tuple(drop for drop in drops if drop not in starts),
        }

    def phase_of(self, step: int) -> int:
        """Return the number of the phase, from 0, that ``step`` belongs to."""
        return sum(start <= step for start in self.phase_starts)

    def steps_of_phase(self, phase: int) -> range:
        """Return the steps of a phase."""
        ends = (0, *self.phase_starts, self.steps)
        return range(ends[phase], ends[phase + 1])

    def learning_rate(self, step: int) -> float:
        """Return the rate of ``step``: each phase starts at ``lr`` and has drops of its own."""
        first = self.steps_of_phase(self.phase_of(step)).start
        drops = sum(first <= drop <= step for drop in self.lr_drops)
        return self.lr / self.lr_divisor**drops


@dataclass(frozen=True)
class Benchmark:
    """What the paper's recipe for a data set is made of."""

    train_set: str
    test_set: str | None
    rule: Rule
    phase: tuple[int, int]
    """The learning rate's drop in a phase, and the phase's length, in steps."""
    rpn_batch_size: int
    batch_size: int
    anchor_sides: tuple[int, ...]
    eval_every: int


_VOC: dict[str, Any] = {
    "phase": (60_000, 80_000),
    "rpn_batch_size": 1,
    "batch_size": 2,
    "anchor_sides": (128, 256, 512),
    "eval_every": 10_000,
}
DATASETS = {
    "voc07+12": Benchmark("voc07+12", "voc2007-test", "11-point", **_VOC),
    "voc07++12": Benchmark("voc07++12", None, "area", **_VOC),
    "coco": Benchmark(
        train_set="coco2014-train",
        test_set="coco2014-val",
        rule="coco",
        phase=(240_000, 320_000),
        rpn_batch_size=8,
        batch_size=16,
        anchor_sides=(64, 128, 256, 512),
        eval_every=40_000,
    ),
}
"""The paper's: VOC 2007 (Table 7, left), VOC 2012 (Table 7, right) and COCO (Table 8)."""

FOLDER = Benchmark("trainval", "test", "area", **_VOC)
"""For any other folder in VOC's layout: VOC's recipe."""
FOLDER_NAME = "folder"


def detection_recipe(dataset: str, backbone: str, schedule: Schedule = "4-step") -> DetectionRecipe:
    """Return the paper's recipe for a detector.

    Args:
        dataset: one of ``DATASETS``, or ``folder``, any folder in VOC's layout.
        backbone: the network that it is built on, a name that ``create_model`` knows.
        schedule: the paper's, or ``joint``: as many steps as one phase of the paper's.

    Raises:
        UserError: the paper trains on no such data set.
    """
    known = {**DATASETS, FOLDER_NAME: FOLDER}
    if dataset not in known:
        raise unknown_name("detection data set", dataset, known)
    benchmark = known[dataset]
    drop, length = benchmark.phase
    starts = [length * phase for phase in range(4 if schedule == "4-step" else 1)]
    return DetectionRecipe(
        model=backbone,
        dataset=dataset,
        train_set=benchmark.train_set,
        test_set=benchmark.test_set,
        rule=benchmark.rule,
        schedule=schedule,
        phase_starts=tuple(starts[1:]),
        steps=length * len(starts),
        lr=0.001,
        lr_drops=tuple(start + drop for start in starts),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=benchmark.batch_size,
        rpn_batch_size=benchmark.rpn_batch_size,
        anchor_sides=benchmark.anchor_sides,
        flip=True,
        eval_every=benchmark.eval_every,
    )


def detection_departures(recipe: DetectionRecipe) -> dict[str, Any]:
    """Return the fields in which ``recipe`` departs from the paper's, scaled to the same length."""
    paper = detection_recipe(recipe.dataset, recipe.model, recipe.schedule)
    if recipe.steps < paper.steps:
        paper = paper.shortened(recipe.steps)
    papers = paper.to_dict() | {"schedule": "4-step"}
    return {field: value for field, value in recipe.to_dict().items() if value != papers[field]}
