"""Tables of what was found of each class: of many, of the worst alone."""

from collections.abc import Callable, Sequence

from deepres.cli.terminal import print_table
from deepres.evaluation.evaluation_log import CLASSES_KEPT


def print_by_class(
    measure: str,
    found: Sequence[tuple[str, float]],
    digits: int,
    worst_first: Callable[[float], float],
) -> None:
    """Print a number for each class; of more than ``CLASSES_KEPT`` only the worst.

    Args:
        measure: what the numbers are, in words.
        found: each class and its number.
        digits: after the point.
        worst_first: the key by which numbers are sorted so that the worst come first.
    """
    title = ""
    if len(found) > CLASSES_KEPT:
        found = sorted(found, key=lambda item: worst_first(item[1]))[:CLASSES_KEPT]
        title = f"the worst {CLASSES_KEPT} classes"
    rows = [[name, f"{number:.{digits}f}"] for name, number in found]
    print_table(title, ["class", measure], rows)
