"""What the tables of published and measured numbers share: rows, and how their numbers are put.

Only the paper's runs count as ours: of full length, by its recipe, on its data. What others have
found stands in a column of its own, on rows that say what they are.
"""

import itertools
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from deepres.report.computed import hardware_of
from deepres.report.grouping import poolable
from deepres.report.recipe_notes import Recipes, in_short, numbered_recipes
from deepres.report.render import NOTHING, Table
from deepres.report.runs import Run

NO_RUN, PUBLISHED_ONLY = "no run yet", "published only"
COUNTS = ("layers", "parameters")
"""What is counted of a network: the columns of numbers before the measured ones."""
Best = Callable[[Iterable[float]], float]
"""Which of several values is the best: ``min`` of errors, ``max`` of precisions."""


@dataclass(frozen=True)
class Measurement:
    """What a test of one trained network found."""

    values_pct: tuple[float, ...]
    """One for each measure of the table: top-1 and top-5 error, or mean average precision."""
    condition: str
    """What sets it apart from the paper's, in words; nothing: it counts as ours."""
    seed: int | None
    provenances: tuple[Mapping[str, Any], ...]
    """Of the training and of the test."""
    errors_pct: tuple[float | None, ...] = ()
    """The standard error of each value, from the draws of test images; none: it is not known."""


class Compared(NamedTuple):
    """What stands of one measure in a row, as text."""

    published: str
    ours: str
    difference: str


@dataclass(frozen=True)
class ResultRow:
    """A row of a table of published and measured numbers, as text."""

    names: Sequence[str]
    """Its first cells; nothing stands in the others of these columns."""
    compared: Sequence[Compared]
    """One for each measure; none: it is of other runs alone."""
    count: str
    """How many runs."""
    others: str
    """What other runs than the paper's have found."""
    provenance: str

    def cells(self, names: int, measures: int) -> list[str]:
        """Return its cells in a table with so many columns for names, and so many measures."""
        unnamed = [NOTHING] * (names - len(self.names))
        compared = self.compared or [Compared(NOTHING, NOTHING, NOTHING)] * measures
        numbers = itertools.chain.from_iterable(compared)
        return [*self.names, *unnamed, *numbers, self.count, self.others, self.provenance]


def one_a_seed(runs: Iterable[Run]) -> list[Run]:
    """Leave out repetitions of a run: they are no evidence of their own."""
    return list(itertools.chain.from_iterable(poolable(runs)))


def state_of(runs: Sequence[Run], finished: str = NO_RUN) -> str:
    """Return why there is no number of the paper's run."""
    papers = [run for run in runs if run.is_papers]
    if any(run.result for run in papers):
        return finished
    if papers:
        furthest = max(papers, key=lambda run: run.last_step)
        return f"under way: {furthest.last_step:,} of {furthest.steps:,} steps"
    return NO_RUN


def result_table(
    title: str,
    names: Sequence[str],
    measures: Sequence[str],
    rows: Sequence[ResultRow],
    notes: Sequence[str],
    runs: Iterable[Run],
    missing: Sequence[tuple[str, str]] = (),
) -> Table:
    """Return a table of published and measured numbers.

    Args:
        title: of the table.
        names: of the columns that say whose numbers they are.
        measures: what is measured, to be put before "published" and "ours".
        rows: of the table.
        notes: below it.
        runs: all that there are; their recipes have numbers, which stand in the rows for long ones.
        missing: rows without a number of ours, and the commands for these.
    """
    values = [f"{m}{what}" for m in measures for what in ("published", "ours", "difference")]
    columns = [*names, *values, "n", "other runs", "provenance"]
    of_network = {i for i, name in enumerate(names) if name in COUNTS}
    numbers = frozenset(of_network | {*range(len(names), len(columns) - 1)})
    ours = {each.ours for row in rows for each in row.compared}
    tested = any(row.count != NOTHING for row in rows)
    cells = [row.cells(len(names), len(measures)) for row in rows]
    shown, recipes = _recipes_in_notes(cells, numbered_recipes(runs))
    return Table(
        title,
        columns,
        shown,
        notes=[*notes, *recipes],
        numbers=numbers,
        missing=missing,
        is_empty=not tested and awaits_runs(ours),
    )


def _recipes_in_notes(
    rows: Sequence[list[str]], recipes: Recipes
) -> tuple[list[list[str]], list[str]]:
    """Put numbers in place of the recipes in the rows' first cells, and those into notes."""
    shown = [[in_short(label, recipes), *cells] for label, *cells in rows]
    told = {number for label, *_ in shown for number in re.findall(r"\brecipe (\d+)", label)}
    notes = [f"Recipe {n}: {words}." for words, n in recipes.items() if str(n) in told]
    return shown, notes


def awaits_runs(ours: set[str]) -> bool:
    """Tell whether what stands for our numbers is that there is no run, where one could be."""
    return NO_RUN in ours and ours <= {NO_RUN, PUBLISHED_ONLY}


def result_rows(
    names: Sequence[str],
    printed: Sequence[str],
    references: Sequence[float | None],
    measurements: Sequence[Measurement],
    state: str,
    best: Best = min,
) -> list[ResultRow]:
    """Return a published row with ours in it, and below it a row for each kind of other runs.

    Args:
        names: the first cells.
        printed: the published numbers, as the paper prints them.
        references: what ours are compared with; None: nothing.
        measurements: of this row's network.
        state: why there is no number of ours, if there is none.
        best: which of several is the best.
    """
    groups: dict[str, list[Measurement]] = {"": []}
    for measurement in measurements:
        groups.setdefault(measurement.condition, []).append(measurement)
    ours = groups.pop("")
    compared = []
    for i, (text, reference) in enumerate(zip(printed, references, strict=True)):
        values = [measurement.values_pct[i] for measurement in ours]
        difference = NOTHING
        if values and reference is not None:
            difference = f"{statistics.mean(values) - reference:+.2f}".replace("-", "−")
        own = _spread_of(ours, i, best) if values else state
        compared.append(Compared(text, own, difference))
    count = str(len(ours)) if ours else NOTHING
    first = ResultRow(names, compared, count, NOTHING, describe_provenance(ours))
    others = [
        other_row(f"{names[0]}, {condition}", group, best) for condition, group in groups.items()
    ]
    return [first, *others]


def other_row(label: str, group: Sequence[Measurement], best: Best) -> ResultRow:
    """Return the row of measurements that do not count as ours."""
    found = " / ".join(_spread_of(group, i, best) for i in range(len(group[0].values_pct)))
    return ResultRow([label], [], str(len(group)), found, describe_provenance(group))


def _spread_of(group: Sequence[Measurement], i: int, best: Best) -> str:
    """Return the spread of the ``i``-th value; a single one's is that over test images."""
    found = spread([measurement.values_pct[i] for measurement in group], best)
    errors = group[0].errors_pct
    if len(group) == 1 and errors and errors[i] is not None:
        return f"{found} ± {errors[i]:.2f}"
    return found


def spread(values: Sequence[float], best: Best = min) -> str:
    """Return "best (mean ± sample standard deviation)", or the one value there is."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    mean, std = statistics.mean(values), statistics.stdev(values)
    return f"{best(values):.2f} ({mean:.2f} ± {std:.2f})"


def describe_provenance(measurements: Sequence[Measurement]) -> str:
    """Name the seeds, the versions, the precision and the hardware behind ``measurements``."""
    if not measurements:
        return NOTHING
    provenances = [each for measurement in measurements for each in measurement.provenances]
    seeds = sorted({m.seed for m in measurements if m.seed is not None})
    parts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    for name, key in (("commit ", "commit"), ("torch ", "torch"), ("", "precision")):
        if values := dict.fromkeys(str(each[key]) for each in provenances if key in each):
            parts.append(name + ", ".join(values))
    parts += [", ".join(dict.fromkeys(filter(None, map(hardware_of, provenances))))]
    seen = {str(each["bn_images"]) for each in provenances if "bn_images" in each}
    if len(seen) > 1:
        parts.append(f"BN over {' or '.join(sorted(seen, key=int))} images")
    return "; ".join(filter(None, parts))


def digits(value: float | None, decimals: int = 2) -> str:
    """Return a number as the paper prints it."""
    return NOTHING if value is None else f"{value:.{decimals}f}"
