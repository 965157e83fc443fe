"""deepres bench: how fast networks train and test on this machine."""

import argparse
import dataclasses
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from deepres.cli.options.bench import PHOTOGRAPHS_ON_CPU, PROFILES
from deepres.cli.terminal import print_json, print_table, say, show
from deepres.errors import UserError
from deepres.evaluation.scores import VIEWS_AT_ONCE
from deepres.files import check_places, write_json
from deepres.models.create import build_empty
from deepres.provenance import provenance
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.recipes.cifar10 import cifar_recipe
from deepres.recipes.imagenet import imagenet_recipe
from deepres.runtime import resolve_device, resolve_precision
from deepres.speed.machine import limited_by
from deepres.speed.measure import DTYPES, Speed, Timing, measure_alone
from deepres.speed.work import Kind, Work


def call(options: argparse.Namespace) -> int:
    """Measure each network, each in a process of its own, and print the table."""
    if not 0 <= options.turn_seconds < math.inf:
        raise UserError(f"--turn-seconds must be 0 or more, got {options.turn_seconds:g}")
    for name in ("batch_size", "turns"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    check_places(options.out)
    device = resolve_device(options.device)
    options.precision = resolve_precision(options.precision, device)
    options.threads = options.threads or torch.get_num_threads()
    torch.set_num_threads(options.threads)  # for the provenance
    works = [work for name in options.networks for work in _works(name, options, device)]
    timing = Timing(options.device, options.threads, options.turns, options.turn_seconds)
    if options.profile:
        PROFILES.mkdir(parents=True, exist_ok=True)  # if that cannot be, before the work
    done: list[tuple[Work, Speed]] = []
    try:
        for work in works:
            speed = measure_alone(work, timing, _trace(work) if options.profile else None)
            done.append((work, speed))
            if options.profile and not options.json:
                _print_costs(work, speed)
            if options.out:  # each time, whatever comes later
                write_json(options.out, _content(done, device, options))
    finally:  # also if it is stopped or fails: the numbers are what took the time
        if done and options.json:
            print_json(_content(done, device, options))
        elif done:
            _print_speeds(done, device, options)
    if options.out and not options.json:
        show(f"numbers: {options.out}")
    return 0


def _trace(work: Work) -> Path:
    return PROFILES / f"{work.network}-{work.kind}.json"


def _works(name: str, options: argparse.Namespace, device: torch.device) -> list[Work]:
    """Return what is to be measured of a network.

    Raises:
        UserError: there is no such network, field or value.
    """
    build_empty(name)
    recipe = imagenet_recipe(name) or cifar_recipe(name)
    if recipe is None and (options.set or options.only == "training"):
        raise UserError(f"{name} has no recipe: it is not trained, and there is nothing to --set")
    if recipe is not None:
        recipe = recipe.changed(options.set)
        build_empty(name, **recipe.model_options())
    else:
        say(f"{name} has no recipe: only its inference is measured")
    changed = {each.partition("=")[0].strip() for each in options.set}
    if "precision" in changed:
        raise UserError("training and inference are timed in the precision that --precision gives")
    kinds: Sequence[Kind] = get_args(Kind) if recipe else ("inference",)
    of_recipe = "batch_size" in changed
    return [
        Work(
            kind,
            name,
            recipe,
            options.batch_size or _batch(kind, recipe, device, of_recipe=of_recipe),
            options.precision,
        )
        for kind in kinds
        if options.only in (None, kind)
    ]


def _batch(
    kind: Kind,
    recipe: CifarRecipe | ImageNetRecipe | None,
    device: torch.device,
    *,
    of_recipe: bool,
) -> int:
    """Return the size of the batches: the recipe's, if it was asked for, or what is usual."""
    if recipe and kind == "training" and of_recipe:
        return recipe.batch_size
    if device.type == "cpu" and not isinstance(recipe, CifarRecipe):
        return PHOTOGRAPHS_ON_CPU
    return recipe.batch_size if recipe and kind == "training" else VIEWS_AT_ONCE


def _print_speeds(
    done: list[tuple[Work, Speed]], device: torch.device, options: argparse.Namespace
) -> None:
    rows = [
        [
            work.network,
            work.kind,
            str(work.batch),
            *_middle_and_ends(speed.images_per_s(), 1),
            "–" if speed.peak_bytes is None else f"{speed.peak_bytes / 2**20:,.0f} MiB",
            " ".join(_middle_and_ends(speed.limit_share(), 2)),
            " ".join(_middle_and_ends(speed.copy_share(), 2)),
        ]
        for work, speed in done
    ]
    hardware, turns = provenance(device)["hardware"], [t for _, speed in done for t in speed.turns]
    limit = statistics.median(turn.limit_per_s for turn in turns) / 1e9
    by = limited_by(device, DTYPES[options.precision])
    copied = statistics.median(turn.copied_bytes_per_s for turn in turns) / 1e9
    columns = ["", "", "batch", "images/s", "range", "memory", "of limit", "of copy"]
    print_table("", columns, rows, text_columns=2)
    print(
        f"{hardware}, torch {torch.__version__}, {options.precision}; n = {options.turns}; "
        f"limit, by {by}: {limit:,.0f} Gflop/s, copy: {copied:,.0f} GB/s"
    )


def _print_costs(work: Work, speed: Speed) -> None:
    rows = [
        [cost.name, f"{cost.calls:,.0f}", f"{1e3 * cost.seconds:,.2f}", f"{100 * cost.share:.1f} %"]
        for cost in speed.costs
    ]
    title = f"{work.network}, {work.kind}, a batch of {work.batch}"
    print_table(title, ["costliest", "times", "ms", "share"], rows)
    show(f"trace: {_trace(work)}\n")


def _middle_and_ends(numbers: list[float], digits: int) -> tuple[str, str]:
    low, high = min(numbers), max(numbers)
    return (
        f"{statistics.median(numbers):,.{digits}f}",
        f"({low:,.{digits}f}–{high:,.{digits}f})",
    )


def _content(
    done: list[tuple[Work, Speed]], device: torch.device, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what a file holds of all that has been measured so far."""
    return {
        "provenance": provenance(device),
        "limited_by": limited_by(device, DTYPES[options.precision]),
        "measured": [_entry(work, speed) for work, speed in done],
    }


def _entry(work: Work, speed: Speed) -> dict[str, Any]:
    """Return what a file holds of a piece of work: what it was, and every turn."""
    shares = {"limit_share": speed.limit_share(), "copy_share": speed.copy_share()}
    about = {**dataclasses.asdict(work), "recipe": work.recipe and work.recipe.to_dict()}
    return {**about, **dataclasses.asdict(speed), **shares}
