"""deepres bench: how fast networks train and test on this machine."""

import argparse
import dataclasses
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from deepres.cli import Commands
from deepres.cli.terminal import print_table, say
from deepres.errors import UserError
from deepres.evaluation.scores import VIEWS_AT_ONCE
from deepres.files import write_json
from deepres.models.create import build_empty
from deepres.provenance import provenance
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.recipes.cifar10 import cifar_recipe
from deepres.recipes.imagenet import imagenet_recipe
from deepres.runtime import has_native_bf16, resolve_device
from deepres.speed.machine import limited_by
from deepres.speed.measure import DTYPES, Speed, Timing, measure_alone
from deepres.speed.profile import COSTLIEST
from deepres.speed.work import Kind, Work

PHOTOGRAPHS_ON_CPU = 16
"""Images at a time for ImageNet's networks on a CPU, where the recipe's 256 take minutes."""
PROFILES = Path("profiles")
DESCRIPTION = """\
Measure training and inference of networks in images per second, on images that are there already.

Training is what deepres train does at each step; CIFAR-10's augmentation is a part of it, decoding
ImageNet's files is not. Inference is what deepres evaluate does for 1-crop views.

of limit   the operations of convolutions and fully connected layers per second (training: three
           times those of inference), as a share of the most that the machine does in the same
           precision in the same turn: on a CPU multiply-adds on registers in float32, a convolution
           that is known to be fast in bfloat16; on a GPU, or without a C compiler, a large matrix
           product
of copy    the least bytes moved per second, as a share of what a large copy reads and writes:
           each convolution and fully connected layer reads its input and its weights and writes its
           output once, all else costs nothing (training: three times that, without the optimizer).
           What passes from layer to layer in a cache can take it above 1
memory     the peak: allocated on a CUDA device; on a CPU, by which a fresh process grew

Ranges are over turns. With --threads 1 on a CPU, times are CPU times, which other work on the
machine disturbs less."""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "bench",
        help="measure training and inference speed, memory, and the share of the machine's rates",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="e.g. resnet20")
    parser.add_argument(
        "--batch",
        type=int,
        metavar="IMAGES",
        help=f"at a time (default: the recipe's for training, {VIEWS_AT_ONCE} for inference; for "
        f"ImageNet's networks on a CPU {PHOTOGRAPHS_ON_CPU})",
    )
    parser.add_argument(
        "--precision", choices=list(DTYPES), help="default: bf16 where the device has it, else fp32"
    )
    parser.add_argument("--only", choices=get_args(Kind), help="measure one of the two")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of the recipe, e.g. shortcut=B or accumulate=4, as for deepres train",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU (default: all)"
    )
    parser.add_argument("--turns", type=int, default=5, help="how often (default: %(default)s)")
    parser.add_argument(
        "--turn-seconds",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="how long a turn is, at least (default: %(default)s); never less than one batch",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help=f"print the {COSTLIEST} costliest kernels (on a CPU: operators), and write a trace "
        f"for ui.perfetto.dev into {PROFILES}/",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, too")
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Measure each network, each in a process of its own, and print the table."""
    if not 0 <= options.turn_seconds < math.inf:
        raise UserError(f"--turn-seconds must be 0 or more, got {options.turn_seconds:g}")
    for name in ("batch", "threads", "turns"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, got {value}")
    device = resolve_device(options.device)
    options.precision = options.precision or ("bf16" if has_native_bf16(device) else "fp32")
    torch.set_num_threads(options.threads)  # for the provenance
    works = [work for name in options.networks for work in _works(name, options, device)]
    timing = Timing(options.device, options.threads, options.turns, options.turn_seconds)
    speeds = []
    for work in works:
        trace = PROFILES / f"{work.network}-{work.kind}.json" if options.profile else None
        speeds.append(measure_alone(work, timing, trace))
        if trace:
            _print_costs(work, speeds[-1], trace)
    _print_speeds(works, speeds, device, options)
    if options.json:
        entries = [_entry(work, speed) for work, speed in zip(works, speeds, strict=True)]
        by = limited_by(device, DTYPES[options.precision])
        about = {"provenance": provenance(device), "limited_by": by}
        write_json(options.json, {**about, "measured": entries})
        print(f"numbers: {options.json}")
    return 0


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
    kinds: Sequence[Kind] = get_args(Kind) if recipe else ("inference",)
    return [
        Work(kind, name, recipe, options.batch or _batch(kind, recipe, device), options.precision)
        for kind in kinds
        if options.only in (None, kind)
    ]


def _batch(kind: Kind, recipe: CifarRecipe | ImageNetRecipe | None, device: torch.device) -> int:
    if device.type == "cpu" and not isinstance(recipe, CifarRecipe):
        return PHOTOGRAPHS_ON_CPU
    return recipe.batch_size if recipe and kind == "training" else VIEWS_AT_ONCE


def _print_speeds(
    works: list[Work], speeds: list[Speed], device: torch.device, options: argparse.Namespace
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
        for work, speed in zip(works, speeds, strict=True)
    ]
    hardware, turns = provenance(device)["hardware"], [t for speed in speeds for t in speed.turns]
    limit = statistics.median(turn.limit_per_s for turn in turns) / 1e9
    by = limited_by(device, DTYPES[options.precision])
    copied = statistics.median(turn.copied_bytes_per_s for turn in turns) / 1e9
    columns = ["", "", "batch", "images/s", "range", "memory", "of limit", "of copy"]
    print_table("", columns, rows, text_columns=2)
    print(
        f"{hardware}, torch {torch.__version__}, {options.precision}; n = {options.turns}; "
        f"limit, by {by}: {limit:,.0f} Gflop/s, copy: {copied:,.0f} GB/s"
    )


def _print_costs(work: Work, speed: Speed, trace: Path) -> None:
    rows = [
        [cost.name, f"{cost.calls:,.0f}", f"{1e3 * cost.seconds:,.2f}", f"{100 * cost.share:.1f} %"]
        for cost in speed.costs
    ]
    title = f"{work.network}, {work.kind}, a batch of {work.batch}"
    print_table(title, ["costliest", "times", "ms", "share"], rows)
    print(f"trace: {trace}\n")


def _middle_and_ends(numbers: list[float], digits: int) -> tuple[str, str]:
    low, high = min(numbers), max(numbers)
    return (
        f"{statistics.median(numbers):,.{digits}f}",
        f"({low:,.{digits}f}–{high:,.{digits}f})",
    )


def _entry(work: Work, speed: Speed) -> dict[str, Any]:
    """Return what a file holds of a piece of work: what it was, and every turn."""
    shares = {"limit_share": speed.limit_share(), "copy_share": speed.copy_share()}
    about = {**dataclasses.asdict(work), "recipe": work.recipe and work.recipe.to_dict()}
    return {**about, **dataclasses.asdict(speed), **shares}
