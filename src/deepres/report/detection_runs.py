"""Tests of detectors and localizers, as their runs' folders hold them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepres.report.names import title
from deepres.report.published_detection import Benchmark
from deepres.report.rows import Measurement, one_a_seed
from deepres.report.runs import Run
from deepres.report.samples import Draws
from deepres.report.significance import Numbers
from deepres.run_folder import EVALUATIONS
from deepres.run_weights import WEIGHTS

CLASS_VIEWS = "multi-scale"
"""What Table 13's classifier sees of an image."""


@dataclass(frozen=True)
class Test:
    """One test of a finished run, an entry of its evaluations.json."""

    run: Run
    found: Mapping[str, Any]
    together: tuple[Run, ...] = ()
    """The runs of an ensemble's members, those that are at hand."""

    @property
    def improvements(self) -> tuple[str, ...]:
        """Appendix B's that were in use."""
        return tuple(self.found.get("improvements", ()))

    @property
    def members(self) -> tuple[str, ...]:
        """The runs of an ensemble; none: it is a single network."""
        return tuple(self.found.get("members", ()))

    @property
    def what(self) -> tuple[Any, ...]:
        """What two tests of a run have in common if the later one takes the earlier one's place."""
        keys = ("set", "images", "rule", "views", "classes", "classifier", "class_views")
        how = (self.found.get(key) for key in keys)
        return self.fingerprint, *how, self.improvements, self.members

    @property
    def fingerprint(self) -> str | None:
        """A checksum of the images and what is on them; None: it is not known."""
        of_draws: str | None = self.found.get("resampled", {}).get("images")  # earlier versions'
        known: str | None = self.found.get("fingerprint", of_draws)
        return known

    @property
    def _own_fingerprint(self) -> str | None:
        """That of the run's own test images, where these are called like them."""
        known: str | None = self.run.meta["data"].get("test_fingerprint")
        if self.run.kind == "detection":
            own = self.run.meta.get("test_data") or {}
            known = own["fingerprint"] if own.get("source") == self.found["set"] else None
        return known

    @property
    def is_altered(self) -> bool:
        """Whether the images, or what is on them, have changed since the run was begun."""
        both = self._own_fingerprint, self.fingerprint
        return None not in both and both[0] != both[1]

    @property
    def set(self) -> str:
        """What the images are called; of one name there may be others than the run's own."""
        name, fingerprint = str(self.found["set"]), self.fingerprint
        if fingerprint is None or fingerprint == self._own_fingerprint:
            return name
        return f"{name} ({fingerprint[:8]})"

    @property
    def images(self) -> str:
        """Which images, in words."""
        return f"{self.found['images']:,} images of {self.set}"

    @property
    def unlike_papers_classes(self) -> list[str]:
        """Say who else predicted a localizer's classes, if not what it began from, and how."""
        if self.found.get("classes") != "predicted":
            return []
        views = self.found.get("class_views", CLASS_VIEWS)
        names = self.found.get("classifier", "an unknown network")
        own = {_began_from(run) for run in self.together or (self.run,)}
        ends = [tuple(name.split("/")) for name in names.split(" + ")]
        known = [any(way[-len(end) :] == end for end in ends) for way in own]
        is_own = all(known) and len(ends) == len(own)
        by_others = [] if is_own else [f"classes of {names}"]
        return by_others + [f"classes by {views}"] * (views != CLASS_VIEWS)

    def is_plainly_on(self, benchmark: Benchmark) -> bool:
        """Whether it is one network's on all of these images, without improvements."""
        how = self.found["set"], self.found["images"], self.improvements, self.members
        return how == (benchmark.set, benchmark.images, (), ()) and not self.is_altered

    def label(self) -> str:
        """Say all that matters, where no published number is like it."""
        detector = f"ensemble of {len(self.members)}" if self.members else title(self.run.model)
        trained_on = "" if self.run.has_foreign_data else self.run.meta["data"]["source"]
        of_class = "classes" in self.found  # a localizer's
        how = [self.found["views"], f"{self.found['classes']} classes"] if of_class else []
        how += self.unlike_papers_classes
        if self.run.kind == "localization-rcnn":
            how = ["R-CNN", *how]
        parts = [detector, trained_on, self.run.condition, *self.improvements, *how]
        return ", ".join([*filter(None, parts), f"tested on {self.images}"])

    def measurement(self, condition: str, keys: Sequence[str]) -> Measurement:
        """Return the numbers called ``keys``."""
        assert self.run.result is not None
        return Measurement(
            tuple(self.found[key] for key in keys),
            condition,
            None if self.members else self.run.meta["seed"],
            (*self.run.provenances, self.found["provenance"]),
            tuple(standard_error(self.found, key) for key in keys),
        )

    def draws(self, key: str) -> Draws | None:
        """Return a precision for each draw of the images; None: they were not resampled."""
        values = _drawn(self.found, key)
        if values is None:
            return None
        return Draws(self.found["resampled"]["images"], self.found["images"], values)


def _began_from(run: Run) -> tuple[str, ...]:
    """Return the path of the weights that a run began from; of a run's final ones, its folder's."""
    parts = Path(run.meta["initial_weights"]["file"]).parts
    return parts[:-1] if parts[-1:] == (WEIGHTS,) else parts


def standard_error(found: Mapping[str, Any], key: str) -> float | None:
    """Return how far a precision would differ on other test images; None: it is not known."""
    values = _drawn(found, key)
    return None if values is None else float(values.std(ddof=1))


def _drawn(found: Mapping[str, Any], key: str) -> Numbers | None:
    values = found.get("resampled", {}).get(key, [])
    known: Numbers = np.array(values, dtype=float)  # null, of a draw without objects, becomes NaN
    return known if len(known) > 1 and np.isfinite(known).all() else None


def tests_of(runs: Iterable[Run]) -> list[Test]:
    """Return the tests of finished runs, the latest of each kind; of each seed one run counts."""
    finished = [run for run in runs if run.result]
    by_path = {run.path: run for run in finished}
    latest: dict[tuple[Any, ...], Test] = {}
    for run in one_a_seed(finished):
        for found in run.side_file(EVALUATIONS) or []:
            together = (by_path[path] for path in run.members(found) if path in by_path)
            test = Test(run, found, tuple(together))
            latest[run.path, *test.what] = test
    return list(latest.values())
