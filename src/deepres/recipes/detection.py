"""§4.3: how the paper trains Faster R-CNN on PASCAL VOC and COCO."""

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

from deepres.errors import UserError, unknown_name, whole_number
from deepres.recipes.detector import COCO, VOC, DetectorSettings
from deepres.recipes.schema import Recipe

Schedule = Literal["4-step", "joint"]


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe(Recipe):
    """How one detector is trained.

    ``model`` is the network that it is built on. ``steps`` counts those of all phases together,
    ``batch_size`` the images of a step that trains the regions' classifier.
    """

    kind: ClassVar[str] = "detection"
    fixed: ClassVar[frozenset[str]] = Recipe.fixed | {"dataset"}
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
    schedule: Schedule = "4-step"
    """Faster R-CNN's alternating training, as in the paper, or proposals and regions at once."""
    phase_starts: tuple[int, ...]
    """The steps with which the second and later phases of the schedule begin, each with the
    learning rate from the start; none in joint training."""
    rpn_batch_size: int
    """The images of a step that trains the proposals alone."""
    bias_lr_factor: float = 2.0
    """Biases learn at so many times the rate of weights."""
    bad_boxes: Literal["fail", "skip"] = "fail"
    """What to do about an annotation that cannot be meant: stop, or leave it out."""
    eval_images: int = 500
    """How many test images, evenly spread, are tested on the way; the last step tests on all."""
    detector: DetectorSettings = VOC
    """What is trained; in JSON and in ``changed`` its fields stand among the recipe's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(1, "rpn_batch_size", "eval_images")
        self._check_positive("bias_lr_factor")
        starts, expected = self.phase_starts, 3 if self.schedule == "4-step" else 0
        self._check(
            "phase_starts",
            f"{expected} rising steps between 0 and steps={self.steps}",
            len(starts) == expected and list(starts) == sorted({*starts} - {0, self.steps}),
        )

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, data and schedule, in full length."""
        recipe = detection_recipe(self.dataset, self.model, self.schedule)
        assert isinstance(recipe, type(self))
        return recipe

    def deviations(self) -> dict[str, Any]:
        """Return the fields in which this deviates from the paper's recipe of the same length."""
        joint = {"schedule": self.schedule} if self.schedule != "4-step" else {}
        return joint | super().deviations()

    def scaled_to(self, steps: int) -> Self:
        """Return the recipe for ``steps`` steps, every milestone scaled in proportion."""
        if self.phase_starts and whole_number(steps, "steps") < 4:
            raise UserError(f"the 4-step schedule needs at least 4 steps, got {steps}")
        return super().scaled_to(steps)

    def _milestones(self, steps: int) -> dict[str, Any]:
        starts = self._scaled(self.phase_starts, steps)
        drops = self._scaled(self.lr_drops, steps)
        return {
            "phase_starts": starts,
            "lr_drops": tuple(drop for drop in drops if drop not in starts),
        }

    @classmethod
    def _settable(cls) -> dict[str, Any]:
        own = {name: kind for name, kind in cls.field_types().items() if name != "detector"}
        return own | DetectorSettings.field_types()

    def _with(self, changes: dict[str, Any]) -> Self:
        own, inside = _apart(changes)
        return dataclasses.replace(
            self, **own, detector=dataclasses.replace(self.detector, **inside)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        own = super().to_dict()
        detector: dict[str, Any] = own.pop("detector")
        return own | detector

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Return the recipe that ``to_dict`` gave.

        Raises:
            UserError: a field is unknown or missing: it was written by another version.
        """
        own, inside = _apart(fields)
        return super().from_dict(own | {"detector": DetectorSettings.from_dict(inside)})

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


def _apart(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a recipe's own fields, and those that its detector's settings have."""
    known = DetectorSettings.field_types()
    own = {name: value for name, value in fields.items() if name not in known}
    return own, {name: value for name, value in fields.items() if name in known}


class Length(NamedTuple):
    """How long a phase of the schedule is, and when its learning rate drops, in steps."""

    drops: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Benchmark:
    """What the paper's recipe for a data set is made of."""

    train_set: str
    test_set: str | None
    rpn: Length
    """Of the phases that train proposals, …"""
    regions: Length
    """… and of those that train the regions' classifier."""
    rpn_batch_size: int
    batch_size: int
    detector: DetectorSettings
    eval_every: int


# Proposals: the released code of Faster R-CNN. Regions: Fast R-CNN (2015), §5.3 and §4.4.
_VOC: dict[str, Any] = {
    "rpn": Length((60_000,), 80_000),
    "rpn_batch_size": 1,
    "batch_size": 2,
    "detector": VOC,
    "eval_every": 10_000,
}
_COCO: dict[str, Any] = {
    "rpn": Length((240_000,), 320_000),
    "regions": Length((240_000,), 320_000),
    "rpn_batch_size": 8,
    "batch_size": 16,
    "detector": COCO,
    "eval_every": 40_000,
}
DATASETS = {
    "voc07+12": Benchmark("voc07+12", "voc2007-test", regions=Length((30_000,), 60_000), **_VOC),
    "voc07++12": Benchmark("voc07++12", None, regions=Length((40_000, 80_000), 100_000), **_VOC),
    "coco": Benchmark("coco2014-train", "coco2014-val", **_COCO),
    "coco-trainval": Benchmark("coco2014-trainval", None, **_COCO),
    # Of later; not the paper's. By the same recipe, so that it stands beside other programs.
    "coco2017": Benchmark("coco2017-train", "coco2017-val", **_COCO),
    # "The same as that for MS COCO" (appendix B), which prints no schedule of its own.
    "imagenet-det": Benchmark("imagenet-det-train+val1", "imagenet-det-val2", **_COCO),
}
"""The paper's: VOC 2007 (Table 7, left), VOC 2012 (Table 7, right), COCO (Table 8), its test-dev
(Table 9) and ImageNet DET (Table 12); and COCO 2017, by COCO's recipe."""

FOLDER = Benchmark("trainval", "test", regions=DATASETS["voc07+12"].regions, **_VOC)
"""For any other folder in VOC's layout: VOC 2007's recipe."""
FOLDER_NAME = "folder"


def detection_recipe(dataset: str, backbone: str, schedule: Schedule = "4-step") -> DetectionRecipe:
    """Return the paper's recipe for a detector.

    Args:
        dataset: one of ``DATASETS``, or ``folder``, any folder in VOC's layout.
        backbone: the network that it is built on, a name that ``create_model`` knows.
        schedule: the paper's, or ``joint``: as many steps as the paper's first phase.

    Raises:
        UserError: the paper trains on no such data set.
    """
    known = {**DATASETS, FOLDER_NAME: FOLDER}
    if dataset not in known:
        raise unknown_name("detection data set", dataset, known)
    benchmark = known[dataset]
    phases = 2 * [benchmark.rpn, benchmark.regions] if schedule == "4-step" else [benchmark.rpn]
    *starts, steps = itertools.accumulate((phase.steps for phase in phases), initial=0)
    return DetectionRecipe(
        model=backbone,
        dataset=dataset,
        train_set=benchmark.train_set,
        test_set=benchmark.test_set,
        schedule=schedule,
        phase_starts=tuple(starts[1:]),
        steps=steps,
        lr=0.001,
        lr_drops=tuple(
            start + drop
            for start, phase in zip(starts, phases, strict=True)
            for drop in phase.drops
        ),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=benchmark.batch_size,
        rpn_batch_size=benchmark.rpn_batch_size,
        detector=benchmark.detector,
        flip=True,
        eval_every=benchmark.eval_every,
    )
