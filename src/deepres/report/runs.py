"""Runs as reports see them, finished or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepres.kinds import KINDS
from deepres.report.names import on_data, title
from deepres.report.papers_runs import (
    has_foreign_data,
    own_fields,
    papers_steps,
    unlike_papers,
    usual_shortcut,
)
from deepres.run_folder import Event
from deepres.visible import visible

PRECISIONS = {
    "map_50_pct": "mAP@.5",
    "map_pct": "mAP@[.5, .95]",
    "mask_map_50_pct": "masks' mAP@.5",
    "mask_map_pct": "masks' mAP@[.5, .95]",
}
"""What a detector's tests find, in words."""
OUTCOMES = {
    "test_error_pct": "test error",
    "train_error_pct": "training error",
    **{f"test_{key}": words for key, words in PRECISIONS.items()},
}
"""The final numbers that result.json may hold, in words."""
RESPONSES, SIGNALS = "responses.json", "signals.json"
RESPONSE_IMAGES = 1_000
"""Over so many test images responses are measured (Figure 7)."""


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
        return title(self.on_data)

    @property
    def on_data(self) -> str:
        """Its network and, of a detector, what tells it apart: "vgg16 detector on VOC"."""
        if self.is_classifier:
            return self.model
        context = " with global context" if self.meta["recipe"].get("global_context") else ""
        return on_data(self.model, KINDS[self.kind].part + context, self.meta["data"]["source"])

    @property
    def steps(self) -> int:
        """The length that its recipe gives it."""
        return int(self.meta["recipe"]["steps"])

    @property
    def papers_steps(self) -> int:
        """The length of the paper's run."""
        return papers_steps(self.meta)

    @property
    def is_fine_tuned(self) -> bool:
        """Whether it began from given weights: the paper has no such classifier."""
        return bool(self.meta["recipe"].get("pretrained"))

    @property
    def shortcut(self) -> str | None:
        """Its shortcut option, "A", "B" or "C"; None: it is no residual network."""
        usual = usual_shortcut(self.model)
        return usual and (self.meta["recipe"].get("shortcut") or usual)

    @property
    def condition(self) -> str:
        """What sets it apart from the paper's run, in words; nothing: it is the paper's.

        Length, recipe and data count, and whether a file was edited.
        """
        return self.condition_but(frozenset())

    def condition_but(self, fields: frozenset[str]) -> str:
        """Return the condition without what some fields of the recipe add to it."""
        parts = unlike_papers(self.meta, fields)
        if self.altered:
            parts.append(f"{' and '.join(self.altered)} edited or damaged after training")
        return ", ".join(filter(None, [*parts, self.apart]))

    @property
    def own_recipe(self) -> str:
        """The part of the condition that says in which fields its recipe is not the paper's."""
        return own_fields(self.meta["recipe"], self.meta["deviations"])

    @property
    def has_foreign_data(self) -> bool:
        """Whether it is trained on other data than the paper's."""
        return has_foreign_data(self.meta)

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
