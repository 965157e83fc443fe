"""One prediction explained: the image, where in it the class is seen, what each block adds."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepres.report.pictures import BLUE, SKY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 26
"""Characters of a class's name that have room."""
AS_IS: dict[str, Any] = {"parse_math": False}  # names are no formulas, whatever they hold


class Bar(NamedTuple):
    """What a block adds."""

    stage: str
    """The paper's name of its stage."""
    ratio: float | None
    """‖F(x)‖ / ‖x‖, if there is any."""


def explanation(
    image: NDArray[np.uint8],
    heat: NDArray[np.float32],
    target: str,
    guesses: Sequence[tuple[str, float]],
    blocks: Sequence[Bar],
    title: str,
) -> "Figure":
    """Draw an image, Grad-CAM over it, the likeliest classes and, if any, the blocks' shares.

    Args:
        image: what the network saw, (H, W, 3).
        heat: Grad-CAM's map, (h, w); it is stretched over the image.
        target: the class that it looks for.
        guesses: classes and their probabilities, the likeliest first.
        blocks: in order.
        title: stands above all.
    """
    rows = [3.2, 2.4] if blocks else [3.2]
    figure = new_figure(9, sum(rows) + 0.5)
    figure.suptitle(title, fontsize=11, **AS_IS)
    grid = figure.add_gridspec(len(rows), 3, height_ratios=rows)
    seen, looked, likely = (figure.add_subplot(grid[0, column]) for column in range(3))
    seen.imshow(image)
    seen.set_axis_off()
    seen.set_title("what the network saw", fontsize=10)
    _grad_cam(looked, image, heat)
    looked.set_title(f"Grad-CAM: {_short(target)}", fontsize=10, **AS_IS)
    _likeliest(likely, guesses)
    if blocks:
        _contributions(figure.add_subplot(grid[1, :]), blocks)
    return figure


def grad_cam_figure(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> "Figure":
    """Draw Grad-CAM over an image and nothing else, as wide as is usual on a page.

    Args:
        image: what the network saw, (H, W, 3).
        heat: Grad-CAM's map, (h, w).
    """
    height, width, _ = image.shape
    figure = new_figure(4, 4 * height / width, layout=None)
    _grad_cam(figure.add_axes((0, 0, 1, 1)), image, heat)
    return figure


def contributions_figure(blocks: Sequence[Bar]) -> "Figure":
    """Draw what each block adds and nothing else, narrow enough for a phone."""
    figure = new_figure(5.6, 2.6)
    _contributions(figure.add_subplot(), blocks)
    return figure


def _grad_cam(axes: "Axes", image: NDArray[np.uint8], heat: NDArray[np.float32]) -> None:
    """Draw an image, and over it where its class is seen."""
    height, width, _ = image.shape
    whole = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(image)
    axes.imshow(heat, cmap="inferno", alpha=0.6, extent=whole, interpolation="bilinear", vmin=0)
    axes.set_axis_off()


def _likeliest(axes: "Axes", guesses: Sequence[tuple[str, float]]) -> None:
    """Draw the probability of each class as a bar below its name, the first on top."""
    percents = [100 * probability for _, probability in guesses]
    axes.barh(range(len(guesses)), percents, color=BLUE, height=0.3)
    for place, ((name, _), percent) in enumerate(zip(guesses, percents, strict=True)):
        axes.text(0, place - 0.22, f"{_short(name)}: {percent:.1f} %", fontsize=9, **AS_IS)
    axes.set_ylim(len(guesses) - 0.5, -0.7)
    axes.set_yticks([])
    axes.set_xlim(0, 100)
    axes.set_title("probability (%)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _contributions(axes: "Axes", blocks: Sequence[Bar]) -> None:
    """Draw ‖F(x)‖ / ‖x‖ of each block; colours alternate from stage to stage."""
    from matplotlib.ticker import MaxNLocator

    first = 1
    ratios = [math.nan if block.ratio is None else block.ratio for block in blocks]
    for color, (stage, same) in zip(
        itertools.cycle([BLUE, SKY]), itertools.groupby(block.stage for block in blocks)
    ):
        count = len(list(same))
        places = range(first, first + count)
        axes.bar(places, ratios[first - 1 : first - 1 + count], color=color)
        axes.annotate(
            stage,
            (first + (count - 1) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
        )
        first += count
    axes.set_xlim(0.3, len(blocks) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("residual block")
    axes.set_ylabel("‖F(x)‖ / ‖x‖")
    axes.axhline(1, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    axes.grid(axis="y", color="0.92", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
