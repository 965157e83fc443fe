"""A classifier's tests: of it alone or with others, on its own data's images or the paper's."""

from typing import Any

from deepres.report.published import CIFAR_TEST_IMAGES, VALIDATION_IMAGES
from deepres.report.runs import Run
from deepres.run_folder import EVALUATIONS

IMAGES = {"cifar10": CIFAR_TEST_IMAGES, "imagenet": VALIDATION_IMAGES}
"""How many images the paper tests on, by kind of recipe."""


def tests(run: Run) -> list[dict[str, Any]]:
    """Return what ``deepres evaluate`` has found of a run's network, as evaluations.json has it."""
    return [found for found in _all_tests(run) if "members" not in found]


def ensembles(run: Run) -> list[dict[str, Any]]:
    """Return what it has found of ensembles whose first member is ``run``."""
    return [found for found in _all_tests(run) if "members" in found]


def _all_tests(run: Run) -> list[dict[str, Any]]:
    return run.side_file(EVALUATIONS) or [] if run.is_classifier else []


def on_own_images(run: Run, fingerprint: str | None) -> bool:
    """Whether a test may be of the test images of a run's data.

    Args:
        run: which was tested.
        fingerprint: of the tested images; None: it is not known, as that of the run's own may not
            be. Older versions noted neither.
    """
    own = run.meta["data"].get("test_fingerprint")
    return None in (own, fingerprint) or own == fingerprint


def on_papers_images(run: Run, images: int, fingerprint: str | None) -> bool:
    """Whether a test is of the paper's test images, all of them.

    Args:
        run: which was tested.
        images: how many.
        fingerprint: as in ``on_own_images``.
    """
    whole = not run.has_foreign_data and images == IMAGES.get(run.kind)
    return whole and on_own_images(run, fingerprint)


def counts(run: Run, images: int, fingerprint: str | None) -> bool:
    """Whether claims compare a test: on other data than the paper's any of its own test images."""
    if run.has_foreign_data:
        return on_own_images(run, fingerprint)
    return on_papers_images(run, images, fingerprint)
