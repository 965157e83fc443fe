"""Runs as reports see them: read from run folders, whole or still under way."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import read_json, strict
from deepres.json_shape import misfit
from deepres.kinds import KINDS
from deepres.recipe_words import fields_in_words
from deepres.report.published import CIFAR_STEPS, IMAGENET_STEPS
from deepres.run_contents import SIDE_FILES, checked, misfit_of_evaluations
from deepres.run_folder import EVALUATIONS, Event, RunFolder
from deepres.visible import visible, visible_json

PAPERS_DATA = {
    **{name: kind.data for name, kind in KINDS.items() if kind.data},
    **{"voc07+12": "VOC 07+12", "voc07++12": "VOC 07++12", "coco": "COCO 2014 train"},
    **{"coco-trainval": "COCO 2014 trainval", "imagenet-det": "ImageNet DET train + val1"},
}
"""What recipe.json calls the training data of each of the paper's recipes, by the recipe's data set
(detection) or kind."""
IMAGENET_CLASSES = 1_000
TRAINING_IMAGES = {
    **{"VOC 07+12": 16_551, "VOC 07++12": 21_503},
    **{"COCO 2014 train": 82_783, "COCO 2014 trainval": 82_783 + 40_504},
}
"""How many images detectors are trained on, whole."""
NO_MATTER = frozenset({"scaled_from", "pretrained", "bad_boxes", "precision", "eval_images"})
"""Fields that set no run apart: the first is told as steps, the second in words; the third the
published annotations demand, for COCO has boxes of zero size; the fourth the provenance tells; the
last is of tests on the way, which decide nothing."""
ALSO_THE_PAPERS = frozenset({("shortcut", "resnet34"), ("global_context", "resnet101")})
"""Fields of a recipe that the paper varies itself, each with the network: Tables 3 and 9."""
BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
"""The residual networks whose shortcuts are of option B by default."""
CLASSIFIERS_STEPS = {"cifar10": CIFAR_STEPS, "imagenet": IMAGENET_STEPS}
"""The length of the paper's runs, by kind of recipe."""
PRECISIONS = {
    **{"map_50_pct": "mAP@.5", "map_pct": "mAP@[.5, .95]"},
    **{"mask_map_50_pct": "masks' mAP@.5", "mask_map_pct": "masks' mAP@[.5, .95]"},
}
"""What a detector's tests find, in words."""
OUTCOMES = {
    **{"test_error_pct": "test error", "train_error_pct": "training error"},
    **{f"test_{key}": words for key, words in PRECISIONS.items()},
}
"""The final numbers that result.json may hold, in words."""
RESPONSES, SIGNALS = "responses.json", "signals.json"
RESPONSE_IMAGES = 1_000
"""Over so many test images responses are measured (Figure 7)."""
NETWORK = re.compile(r"[a-z]+\d{1,6}[\w-]{0,40}", re.ASCII)
"""How networks are called."""


@dataclass(frozen=True)
class Run:
    """One run, finished or not."""

    path: Path
    meta: dict[str, Any]
    """The content of recipe.json."""
    events: list[Event]
    result: dict[str, Any] | None
    """The content of result.json; None: the run is not finished."""
    altered: tuple[str, ...] = ()
    """The names of its files that are not as the training wrote them."""
    side_files: Mapping[str, Any] = field(default_factory=dict)
    """The contents of the JSON files that studies left beside it, by name."""
    changed_s: float = 0
    """When it logged last, in seconds since 1970."""
    apart: str = ""
    """What sets it apart from other runs of its words where they lie together, as in a table."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return visible(self.path.name)

    @property
    def model(self) -> str:
        """Its network."""
        return str(self.meta["recipe"]["model"])

    @property
    def kind(self) -> str:
        """What its recipe trains: "cifar10", "imagenet", "detection" and so on."""
        return str(self.meta["recipe"]["kind"])

    @property
    def is_classifier(self) -> bool:
        """Whether it is trained to classify whole images."""
        return KINDS[self.kind].is_classifier

    @property
    def label(self) -> str:
        """What it trains, for people: "ResNet-20", "ResNet-101 detector on VOC 07+12"."""
        return title(self.model if self.is_classifier else on_data(self))

    @property
    def steps(self) -> int:
        """The length that its recipe gives it."""
        return int(self.meta["recipe"]["steps"])

    @property
    def papers_steps(self) -> int:
        """The length of the paper's run."""
        if scaled_from := self.meta["recipe"]["scaled_from"]:
            return int(scaled_from)
        extended = "steps" in self.meta["deviations"] and not self.is_fine_tuned
        return CLASSIFIERS_STEPS.get(self.kind, self.steps) if extended else self.steps

    @property
    def is_fine_tuned(self) -> bool:
        """Whether it began from given weights: the paper has no such classifier."""
        return bool(self.meta["recipe"].get("pretrained"))

    @property
    def shortcut(self) -> str | None:
        """Its shortcut option, "A", "B" or "C"; None: it is no residual network."""
        return self.usual_shortcut and (self.meta["recipe"].get("shortcut") or self.usual_shortcut)

    @property
    def usual_shortcut(self) -> str | None:
        """The option that its network has in the paper, if nobody asks for another."""
        if not self.model.startswith("resnet"):
            return None
        return "B" if self.model in BOTTLENECKS else "A"

    @property
    def condition(self) -> str:
        """What sets it apart from the paper's run, in words; nothing: it is the paper's.

        Length, recipe and data count, and whether a file was edited.
        """
        return self.condition_but(frozenset())

    def condition_but(self, fields: frozenset[str]) -> str:
        """Return the condition without what some fields of the recipe add to it."""
        recipe, source = self.meta["recipe"], self.meta["data"]["source"]
        parts = []
        if self.is_fine_tuned:
            given = self.meta.get("initial_weights", {}).get("sha256", "unknown")[:8]
            parts.append(f"fine-tuned from weights {given}…, by no recipe of the paper")
        if recipe["scaled_from"]:
            of = "of" if self.steps < self.papers_steps else "instead of"
            parts.append(f"{self.steps:,} {of} {self.papers_steps:,} steps")
        parts += [self._unlike_papers_recipe(fields), *self._unlike_papers_start()]
        if self.has_foreign_data:
            embedded = self.kind == "cifar10" and "sample" in source
            parts.append("sample" if embedded else source)
        if self.altered:
            parts.append(f"{' and '.join(self.altered)} edited or damaged after training")
        return ", ".join(filter(None, [*parts, self.apart]))

    @property
    def own_recipe(self) -> str:
        """The part of the condition that says in which fields its recipe is not the paper's."""
        return self._unlike_papers_recipe(frozenset())

    def _unlike_papers_recipe(self, but: frozenset[str]) -> str:
        """Say in which fields its recipe is not the paper's, but for some, and its length."""
        recipe = self.meta["recipe"]
        return fields_in_words(
            {
                field: value
                for field, value in self.meta["deviations"].items()
                if field not in NO_MATTER | but
                and (field, self.model) not in ALSO_THE_PAPERS
                and (field, value) != ("shortcut", self.usual_shortcut)
                # How often it is tested or logged counts where that decides when the rate
                # changes: a test tells a plateau, a logged error ends the warm-up (§4.2).
                and (field != "eval_every" or recipe.get("lr_plateau"))
                and (field != "log_every" or recipe.get("warm_up_lr"))
                and (field != "steps" or not recipe["scaled_from"])  # that length is told
            }
        )

    def _unlike_papers_start(self) -> list[str]:
        """Say what a detector starts from and how many images it sees, if not the paper's."""
        if self.kind != "detection":
            return []
        parts = []
        given = self.meta["initial_weights"]
        if given is None:
            parts.append("random initial weights")
        elif given.get("source") == "detector":
            parts.append("begun from a detector")
        elif (classes := self.meta["network"]["architecture"]["num_classes"]) != IMAGENET_CLASSES:
            parts.append(f"pre-trained on {classes} classes")
        data = self.meta["data"]
        if data["images"] != TRAINING_IMAGES.get(data["source"], data["images"]):
            parts.append(f"{data['images']:,} images of {data['source']}")
        return parts

    @property
    def has_foreign_data(self) -> bool:
        """Whether it is trained on other data than the paper's."""
        recipe = self.meta["recipe"]
        papers = PAPERS_DATA.get(recipe.get("dataset", self.kind))
        return bool(self.meta["data"]["source"] != papers)

    @property
    def is_papers(self) -> bool:
        """Whether it is the paper's: of full length, with its recipe, on its data."""
        return not self.condition

    @property
    def provenances(self) -> list[dict[str, Any]]:
        """What its numbers depend on: code, libraries, precision, hardware.

        The first is of its beginning, the others of where it went on in another way.
        """
        precision = self.meta["recipe"].get("precision")
        asked = {"precision": precision} if precision in ("fp32", "bf16") else {}
        seen = [{"bn_images": count} if count else {} for count in map(self._bn_images, self._ways)]
        # older ones hold no precision
        return [asked | way | each for way, each in zip(self._ways, seen, strict=True)]

    @property
    def _ways(self) -> list[dict[str, Any]]:
        return [self.meta["provenance"], *self.meta.get("resumed", [])]

    def way_at(self, step: int) -> Mapping[str, Any]:
        """Return what the numbers that it logged at a step depend on."""
        return [way for way in self._ways if way.get("step", -1) < step][-1]

    @property
    def bn_images(self) -> tuple[int, ...]:
        """Over how many images BN takes its statistics in training, in turn; none: it is frozen."""
        return tuple(dict.fromkeys(filter(None, map(self._bn_images, self._ways))))

    def _bn_images(self, way: Mapping[str, Any]) -> int | None:
        recipe = self.meta["recipe"]
        if not self.is_classifier or "batch_size" not in recipe:
            return None
        shared = 1 if recipe.get("sync_batch_norm") else way.get("processes", 1)
        return int(recipe["batch_size"] // (shared * recipe.get("accumulate", 1)))

    @property
    def last_step(self) -> int:
        """The last step that it has logged; less than ``steps``: it is not finished."""
        return max((int(event["step"]) for event in self.events), default=0)

    def curve(self, split: str, key: str = "error_pct") -> tuple[list[int], list[float]]:
        """Return steps and values of what was logged of ``split`` (train, val or test)."""
        events = [each for each in self.events if each["split"] == split]
        points = [(e["step"], e[key]) for e in events if e.get(key) is not None]  # once infinite
        return [step for step, _ in points], [value for _, value in points]

    def side_file(self, name: str) -> Any:
        """Return the content of a JSON file that a study left beside the run, or None."""
        return self.side_files.get(name)

    def members(self, test: Mapping[str, Any]) -> list[Path]:
        """Return the folders of an ensemble's runs, beside the first of which a test is noted.

        Those that lay in another folder are noted with that, and not found.
        """
        return [self.path.parent / name for name in test.get("members", ())]

    def study(self, name: str) -> Mapping[str, Any]:
        """Return what a study of the final weights measured, in a side file; nothing: it has none.

        What was measured before the run was extended, or on few images, is no such thing.
        """
        found: Mapping[str, Any] = (self.side_file(name) if self.result else None) or {}
        few = name == RESPONSES and found.get("images", RESPONSE_IMAGES) < RESPONSE_IMAGES
        return {} if few or found.get("steps", self.steps) != self.steps else found


def read_run(path: Path) -> Run:
    """Read the run in the folder ``path``.

    Raises:
        UserError: there is none, or a file of it is damaged; it is named.
    """
    folder = RunFolder(path)
    meta, altered = visible_json(folder.read_meta_as_it_is()), tuple(folder.altered())
    if not NETWORK.fullmatch(meta["recipe"]["model"]):
        raise UserError(f"{folder.recipe} is of no network: {meta['recipe']['model']!r}")
    events, result = visible_json(folder.read_events()), visible_json(folder.read_result())
    shapes = {name: partial(misfit, shape=shape) for name, shape in SIDE_FILES.items()}
    shapes[EVALUATIONS] = partial(misfit_of_evaluations, kind=meta["recipe"]["kind"])
    side_files = {
        name: visible_json(checked(path / name, strict(read_json(path / name)), shape))
        for name, shape in shapes.items()
        if (path / name).exists()
    }
    changed_s = (folder.metrics if events else folder.recipe).stat().st_mtime
    return Run(path, meta, events, result, altered, side_files, changed_s)


def find_runs(folders: Iterable[Path], left_out: Callable[[str], None] | None = None) -> list[Run]:
    """Read all runs that lie in ``folders``, sorted by name, then in the order of the folders.

    Args:
        folders: which hold run folders.
        left_out: is told of each run that cannot be read, which is then left out; None: the first
            such run ends the reading.

    Raises:
        UserError: as in ``read_run``, if nobody is to be told.
    """
    recipes = (path for folder in folders for path in folder.glob("*/recipe.json"))
    runs = []
    for path in dict.fromkeys(path.parent.resolve() for path in recipes):
        try:
            runs.append(read_run(path))
        except UserError as error:
            if left_out is None:
                raise
            left_out(str(error))
    return sorted(runs, key=lambda run: run.name)


def on_data(run: Run) -> str:
    """Return what tells a detector's runs from others of its network: "vgg16 detector on VOC"."""
    context = " with global context" if run.meta["recipe"].get("global_context") else ""
    return _on(run.model, KINDS[run.kind].part + context, run.meta["data"]["source"])


def papers_detector(network: str, dataset: str) -> str:
    """Return the same of the paper's detector on a network, by its recipe's data set."""
    return _on(network, KINDS["detection"].part, PAPERS_DATA[dataset])


def _on(network: str, part: str, data: str) -> str:
    return f"{network} {part} on {data}"


def hardware_of(provenance: Mapping[str, Any]) -> str:
    """Return on what hardware a number was measured, in today's words; nothing: it is unknown."""
    # Earlier versions wrote "1 threads".
    return re.sub(r"\b1 threads$", "1 thread", str(provenance.get("hardware", "")))


def computed(provenances: Iterable[Mapping[str, Any]]) -> str:
    """Say in which precision, and on what hardware: "bf16 on NVIDIA H100"."""
    told = ((str(each.get("precision", "")), hardware_of(each)) for each in provenances)
    ways = (" on ".join(filter(None, words)) for words in told)
    return "; ".join(dict.fromkeys(ways))


def title(model: str) -> str:
    """Return a network's name as the paper prints it: "ResNet-20"."""
    kinds = {"plain": "plain", "resnet": "ResNet", "vgg": "VGG", "highway": "Highway"}
    match = re.fullmatch(r"([a-z]+)(\d+)(.*)", model)
    return f"{kinds[match[1]]}-{match[2]}{match[3]}" if match and match[1] in kinds else model
