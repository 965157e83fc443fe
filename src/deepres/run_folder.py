"""A run's folder: the only contract between training and everything that reads its outcome.

recipe.json         the recipe, the seed, the data and the provenance, with a digest of them
metrics.jsonl       one object per event, in the order of steps
checkpoint.pt       the latest state; checkpoint.previous.pt the one before
model.safetensors   final weights
result.json         final numbers, with a digest of them and of metrics.jsonl
evaluations.json    errors by other views, where ``deepres evaluate`` has found them; what
                    tests of a detector have found
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from deepres.errors import UserError, no_such
from deepres.event_log import Event as Event
from deepres.event_log import EventLog, digest_of_lines
from deepres.files import (
    json_digest,
    leftovers,
    read_json,
    strict,
    write_json,
    writing,
)
from deepres.json_shape import misfit
from deepres.kinds import kind_of
from deepres.locks import held
from deepres.renamed import KEYS, fields_of_today
from deepres.run_contents import checked, misfit_of_meta, misfit_of_result

EVALUATIONS = "evaluations.json"
"""Beside a run's files: its errors by other views than that of training."""
CONFUSION = "confusion.png"
"""What a classifier's test leaves: which classes it takes for which."""
DETECTIONS, PR_CURVES = "detections.png", "pr_curves.json"
"""What a detector's test leaves: pictures, and each class's precision against recall."""
EXACT_BN = "model.batchnorm.safetensors"
"""The final weights with exact BN statistics, where ``deepres batchnorm`` was asked."""
CONFUSION_OF_EXACT_BN = "model.batchnorm.confusion.png"
"""What their test leaves."""
OF_THE_WEIGHTS = (
    EVALUATIONS,
    CONFUSION,
    DETECTIONS,
    PR_CURVES,
    EXACT_BN,
    CONFUSION_OF_EXACT_BN,
)
"""What commands make of the final weights; what studies measure names the weights itself."""
LOCK = ".lock"
"""What is held while one of these is written or set aside; it stays."""
DIGEST = "sha256"
"""In a JSON file: the digest of the rest of it. Files of before have none."""


def read_meta_file(file: Path) -> dict[str, Any]:
    """Return the content of a recipe.json, wherever it is and whatever it is called.

    Raises:
        UserError: it is missing, not as it was written, or of another version of deepres.
    """
    content, digest = _read(file)
    meta: dict[str, Any] = checked(file, _in_todays_words(content), misfit_of_meta)
    kind_of(meta["recipe"], file)
    if digest not in (None, json_digest(content)):
        raise UserError(
            f"{file} is not as it was written: it was edited, or is damaged. Get a whole copy; a "
            "run of other values is a new one, by --set"
        )
    return meta


class RunFolder(EventLog):
    """Paths and JSON of the run at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.json"
        super().__init__(path / "metrics.jsonl")
        self.checkpoint = path / "checkpoint.pt"
        self.weights = path / "model.safetensors"
        self.result = path / "result.json"

    def check_absent(self) -> None:
        """Make sure that a new run can start here.

        Raises:
            UserError: there is a run already, or what is left of one.
        """
        if self.recipe.exists():
            raise UserError(
                f"{self.path} already holds a run; go on with it by "
                f"--resume {quote(str(self.path))}, or choose another folder by --out"
            )
        if left := self.left():
            raise UserError(
                f"{self.path} has {left[0]} of an earlier run, without its recipe.json; restore "
                "that, choose another folder by --out, or empty this one"
            )

    def left(self) -> list[str]:
        """Return the names of what a run has left here besides its recipe.json."""
        saved = self.path.glob(f"{self.checkpoint.stem}.*")  # the one before, damaged ones
        files = (self.metrics, self.weights, self.result, self.path / EVALUATIONS, *saved)
        return [path.name for path in files if path.exists() or path.is_symlink()]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and keep other processes from training in it.

        What a killed training left half-written is removed, but nothing that other commands may be
        writing. On Windows, and on file systems that know no locks, there is no lock.

        Raises:
            UserError: another process is training here, or the folder cannot be made.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)

        def in_use() -> None:
            raise UserError(f"another process is training in {self.path}")

        with held(self.path, os.O_RDONLY, in_use):
            for file in (self.recipe, self.metrics, self.checkpoint, self.weights, self.result):
                for leftover in leftovers(file):
                    with writing(leftover):
                        leftover.unlink()
            yield

    def read_meta(self) -> dict[str, Any]:
        """Return the content of recipe.json.

        Raises:
            UserError: there is no run here, or the file is not as it was written.
        """
        meta = self.read_meta_as_it_is()
        if self.recipe.name in self.altered():
            raise UserError(
                f"{self.recipe} is not as it was written: it was edited, or is damaged. Restore "
                "it, or start a new run in another folder"
            )
        return meta

    def read_meta_as_it_is(self) -> dict[str, Any]:
        """Return the content of recipe.json, edited or not.

        Raises:
            UserError: there is no run here, it cannot be read, or another version of deepres
                wrote it.
        """
        if not self.path.exists():
            raise UserError(no_such("run folder", self.path))
        if not self.recipe.exists():
            raise UserError(f"{self.path} is not a run folder: it has no recipe.json")
        try:
            meta = _in_todays_words(_read(self.recipe)[0])
            checked(self.recipe, meta, misfit_of_meta)
        except UserError as error:
            raise UserError(
                f"{error}. Without it a run cannot go on: start a new one in another folder"
            ) from error
        kind_of(meta["recipe"], self.recipe)
        return meta

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Write recipe.json."""
        write_json(self.recipe, {**meta, DIGEST: json_digest(strict(meta))})

    def read_result(self) -> dict[str, Any] | None:
        """Return the content of result.json; None: the run is not finished.

        A run that is being extended has the result of its old length until there is a new one.
        """
        if not self.result.exists():
            return None
        recipe = self.read_meta_as_it_is()["recipe"]
        result = strict(_in_todays_words(_read(self.result)[0]))
        checked(self.result, result, partial(misfit_of_result, kind=recipe["kind"]))
        return result if result.get("steps", recipe["steps"]) >= recipe["steps"] else None

    def write_result(self, result: dict[str, Any]) -> None:
        """Write result.json; the events are final."""
        write_json(self.result, {**result, DIGEST: self._final_digests(strict(result))})

    def altered(self) -> list[str]:
        """Return the names of the run's files that are not as they were written, of those known."""
        meta, digest = _read(self.recipe)
        names = [] if digest in (None, json_digest(meta)) else [self.recipe.name]
        if self.read_result() is not None:
            result, digests = _read(self.result)
            now = self._final_digests(result)
            then = digests if isinstance(digests, dict) else {}
            names += [name for name in now if digests and then.get(name) != now[name]]
        return names

    def _final_digests(self, result: dict[str, Any]) -> dict[str, str]:
        return {
            self.metrics.name: digest_of_lines(self.lines()),
            self.result.name: json_digest(result),
        }

    def finish(self, save_weights: Callable[[], None], result: dict[str, Any]) -> None:
        """Write the final weights, then the final numbers; what was there stays until then.

        Args:
            save_weights: writes ``weights``.
            result: the final numbers.
        """
        save_weights()
        self.set_tests_aside()
        self.write_result(result)

    def set_tests_aside(self, *, before_test: bool = False) -> None:
        """If a finished run was extended, rename what commands made of its old weights.

        evaluations.json becomes evaluations-<old steps>steps.json, and so on, once: what is there
        later is of the new weights.

        Args:
            before_test: the new weights are tested before ``finish`` sets aside: where there is no
                evaluations.json, an empty one is set aside, so that it does not take theirs.
        """
        if (old := self._old_steps()) is None:
            return
        with self.noting():
            if before_test and not (self.path / EVALUATIONS).exists():
                write_json(self.path / EVALUATIONS, [])
            for name in OF_THE_WEIGHTS:
                path, aside = self.path / name, self._aside(name, old)
                if path.exists() and not aside.exists():  # else it is of the new weights
                    with writing(aside):
                        path.rename(aside)

    def awaits_weights(self) -> bool:
        """Whether what is noted here is of weights that an extended run has yet to write.

        A detector's last step tests them, and sets aside what is noted of those that are there.
        """
        old = self._old_steps()
        return old is not None and self._aside(EVALUATIONS, old).exists()

    def _old_steps(self) -> int | None:
        """Return the steps of the result of a run that is being extended; None: it is not."""
        if not self.result.exists() or self.read_result() is not None:
            return None
        steps: int = _read(self.result)[0]["steps"]
        return steps

    def _aside(self, name: str, steps: int) -> Path:
        path = self.path / name
        return path.with_stem(f"{path.stem}-{steps}steps")

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep other processes from writing ``OF_THE_WEIGHTS`` or setting them aside.

        They wait, but not for a training, whose lock is another. What a killed one left of
        evaluations.json is removed. A folder that cannot be written to has no lock.
        """
        with ExitStack() as lock:
            with suppress(OSError):
                lock.enter_context(held(self.path / LOCK, os.O_CREAT | os.O_RDWR))
                for leftover in leftovers(self.path / EVALUATIONS):  # who writes it now waits
                    leftover.unlink()
            yield


def _read(path: Path) -> tuple[dict[str, Any], Any]:
    """Return what a file says, and the digest of it; None: it is of before there were any.

    Raises:
        UserError: it is missing, or holds no object.
    """
    content = checked(path, read_json(path), partial(misfit, shape={}))
    return {key: value for key, value in content.items() if key != DIGEST}, content.get(DIGEST)


def _in_todays_words(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says, with the keys that earlier versions called otherwise."""
    content = _renamed(content)
    content |= {key: _renamed(content[key]) for key in ("recipe", "deviations") if key in content}
    if isinstance(given := content.get("weights"), dict):  # a localization network's
        content["initial_weights"] = {"file": given.get("path"), "sha256": given.get("sha256")}
        content["network"] = {key: given.get(key) for key in ("architecture", "mean", "std")}
    return content


def _renamed(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return fields_of_today(content, KEYS)
