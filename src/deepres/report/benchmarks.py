"""What the benchmarks measured: a table of each file, and time against size with its line."""

import html
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.errors import UserError
from deepres.files import read_json
from deepres.report.computed import hardware_of
from deepres.report.embed import figure_html
from deepres.report.pictures import BLUE, VERMILLION, new_figure, svg_text
from deepres.report.render import NOTHING, Table, as_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure


RESULTS = Path("benchmarks/results")
"""Where the benchmarks keep their numbers, in a checkout."""
HEADINGS = {
    "cifar_evaluation": "CIFAR-10's test, end to end",
    "cifar_step": "Training steps on CIFAR-10",
    "cifar_test_formats": "CIFAR-10's test, the network's memory laid out in two ways",
    "fused_cifar": "Training steps on CIFAR-10, by fused kernels",
    "imagenet_input": "Preparing ImageNet's training images",
    "imagenet_step": "Training steps of ResNet-50",
    "inference": "Inference with ResNet-50",
    "scaling": "A training step's time against depth and batch",
    "seeds": "Several runs at once",
    "stem_channels": "The first convolution of ResNet-50",
}
"""What each benchmark is about, by its name."""
SUMMARY, SCALING, SHARE = "summary", "scaling", "share of "


def benchmarks_html(folder: Path) -> str:
    """Return tables and figures of all results in ``folder``, in the order of their names.

    Raises:
        UserError: a file is no benchmark's, or is damaged.
    """
    parts, others = [], []
    for path in sorted(folder.glob("*.json")):
        results = read_json(path)
        if not isinstance(results, dict) or "provenance" not in results:
            raise UserError(f"{path} was not written by a benchmark: it has no provenance")
        try:
            shown = _parts(path.stem, results)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} was written by another version of its benchmark") from error
        parts += shown
        others += [] if shown else [path.name]
    if others:
        parts.append(f"<p>Without a summary, and not shown: {html.escape(', '.join(others))}.</p>")
    return "\n".join(parts)


def _parts(name: str, results: Mapping[str, Any]) -> list[str]:
    parts = []
    if SUMMARY in results:
        parts.append(as_html(summary_table(results)))
    if SCALING in results:
        caption = f"Dots and bars: medians and ranges over turns. {' '.join(_notes(results))}"
        parts.append(figure_html(svg_text(scaling_figure(results[SCALING])), caption))
    return [f"<h3>{html.escape(heading(name, results))}</h3>", *parts] if parts else []


def heading(name: str, results: Mapping[str, Any]) -> str:
    """Say what was measured, in which precision if that is told, and on what.

    Args:
        name: of the file, which begins with the benchmark's.
        results: what is in it.
    """
    benchmark = name.partition("-")[0]
    precision = [results["precision"]] if "precision" in results else []
    subject = HEADINGS.get(benchmark, benchmark.replace("_", " ").capitalize())
    return ", ".join([subject, *precision, f"on {hardware_of(results['provenance'])}"])


def summary_table(results: Mapping[str, Any]) -> Table:
    """Return each side's speed, its ratio to each peer, and n; medians and ranges over turns."""
    sides: Mapping[str, Mapping[str, Any]] = results[SUMMARY]
    measured = list(dict.fromkeys(key for found in sides.values() for key in found))
    share = next((key for key in results if key.startswith(SHARE)), "")  # of which limit, it says
    shares: Mapping[str, Mapping[str, float]] = {
        side: _middle_and_ends(values) for side, values in results.get(share, {}).items() if values
    }
    rows = [
        [
            side,
            *(_spread(found.get(key)) for key in measured),
            *([_spread(shares.get(side))] if shares else []),
            str(next(iter(found.values()))["n"]),
        ]
        for side, found in sides.items()
    ]
    heads = [key.replace("images_per_s", "images/s") for key in measured]
    columns = ["", *heads, *([share] if shares else []), "n"]
    return Table(
        "Median (range) over turns",
        columns,
        rows,
        _notes(results),
        frozenset(range(1, len(columns))),
    )


def scaling_figure(scaling: list[Mapping[str, Any]]) -> "Figure":
    """Draw a step's time against sizes, such as a network's layers, and the line fitted to it."""
    figure = new_figure(4.6 * len(scaling), 3.8)
    for axes, fit in zip(figure.subplots(1, len(scaling), squeeze=False)[0], scaling, strict=True):
        sizes, points = fit["sizes"], fit["step_s"]
        middle = [1e3 * at["median"] for at in points]
        below = [1e3 * (at["median"] - at["min"]) for at in points]
        above = [1e3 * (at["max"] - at["median"]) for at in points]
        ends = [0, max(sizes)]
        line = [1e3 * (fit["start_s"] + fit["slope_s"] * size) for size in ends]
        one = fit["against"].removesuffix("s")
        label = f"{1e3 * fit['start_s']:.3g} ms + {1e3 * fit['slope_s']:.3g} ms for each {one}"
        axes.plot(ends, line, color=VERMILLION, linewidth=1.2, label=label.replace("-", "−"))
        axes.errorbar(sizes, middle, [below, above], color=BLUE, fmt="o", markersize=4, capsize=3)
        axes.set_title(fit["of"], fontsize=10)
        axes.set_xlabel(fit["against"])
        axes.set_ylabel("a training step (ms)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(color="0.92")
        axes.legend(frameon=False, fontsize=9)
    return figure


def _notes(results: Mapping[str, Any]) -> list[str]:
    """Say how and by what the numbers were measured."""
    about = results["provenance"]
    settings = [
        f"{key.replace('_', ' ')} {f'{value:.4g}' if isinstance(value, float) else value}"
        for key, value in results.items()
        if isinstance(value, str | int | float)
    ]
    return [
        f"With {', '.join(settings)}.",
        f"Measured by deepres {about['deepres']} ({about['commit']}), torch {about['torch']}, on "
        f"{hardware_of(about)}.",
    ]


def _middle_and_ends(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _spread(found: Mapping[str, float] | None) -> str:
    """Write a median and its range, with three digits or more."""
    if found is None:
        return NOTHING
    digits = 0 if found["median"] >= 1_000 else 1 if found["median"] >= 10 else 2
    return f"{found['median']:,.{digits}f} ({found['min']:,.{digits}f}–{found['max']:,.{digits}f})"
