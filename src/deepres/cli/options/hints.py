"""Options of other programs, explained where they are typed."""

import argparse

from deepres.cli.parser import Hint

DECIDED = "the paper's recipe decides; to depart from it: --set"
FIELDS = {
    "lr": ("--lr", "--learning-rate"),
    "weight_decay": ("--wd", "--weight-decay"),
    "momentum": ("--momentum",),
}
BATCH = "--batch-size"
EPOCHS = ("--epochs", "--max-epochs")
GPUS = ("--gpu", "--gpus", "--num-gpus")


def add_training_hints(parser: argparse.ArgumentParser) -> None:
    """Say where a run's numbers come from, and how they are changed."""
    for field, options in FIELDS.items():
        parser.add_argument(*options, action=Hint, text=f"{DECIDED} {field}=VALUE")
    parser.add_argument(BATCH, action=Hint, text=f"{DECIDED} batch_size=VALUE")
    parser.add_argument(
        *EPOCHS,
        action=Hint,
        text="the paper's recipe decides, and counts in steps; for another length: --steps N, "
        "which scales all milestones",
    )


def add_precision_hint(parser: argparse.ArgumentParser) -> None:
    """Say of detectors and localizers which precision they have."""
    text = "detectors and localizers compute in fp32 alone, in training and in tests; leave it out"
    parser.add_argument("--precision", action=Hint, text=text)


def add_device_hints(parser: argparse.ArgumentParser, several: bool) -> None:
    """Say how GPUs are chosen.

    Args:
        parser: the command's.
        several: whether it can use several at once.
    """
    text = "one GPU is taken if there is any; another by --device cuda:N"
    if several:
        text += "; several by torchrun --nproc-per-node N -m deepres …"
    parser.add_argument(*GPUS, action=Hint, text=text)
