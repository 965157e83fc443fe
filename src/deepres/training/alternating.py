"""Faster R-CNN's schedules as data: what each phase trains, and what it starts from."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from deepres.checkpoint import total_bytes
from deepres.data.detection.batches import Target
from deepres.detection.faster_rcnn import PARTS, Detector
from deepres.recipes.detection import DetectionRecipe, Schedule

RPN_LOSSES = ("loss_objectness", "loss_rpn_box_reg")
REGION_LOSSES = ("loss_classifier", "loss_box_reg")
LOSSES = (*RPN_LOSSES, *REGION_LOSSES, "loss_mask")


@dataclass(frozen=True)
class Phase:
    """A part of a schedule, with its own optimizer and learning rate."""

    name: str
    parts: tuple[str, ...]
    """Which of the detector's ``PARTS`` are trained; the others stay as they are."""
    afresh: tuple[str, ...] = ()
    """Which of them begin again from what the run began with."""
    whole: bool = True
    """Whether proposals and regions are of one network by now, so that it can be tested."""

    @property
    def takes_proposals(self) -> bool:
        """Whether regions are trained on the proposals that the phase before it left."""
        return "rpn" not in self.parts

    def losses(self, masks: bool) -> tuple[str, ...]:
        """Return which of ``LOSSES`` there are, for a detector with or without masks."""
        of_regions = (*REGION_LOSSES, "loss_mask") if masks else REGION_LOSSES
        rpn, region = (part in self.parts for part in ("rpn", "region"))
        return (RPN_LOSSES if rpn else ()) + (of_regions if region else ())

    def batch_size(self, recipe: DetectionRecipe) -> int:
        """Return how many images a step takes."""
        return recipe.batch_size if "region" in self.parts else recipe.rpn_batch_size


SCHEDULES: dict[Schedule, tuple[Phase, ...]] = {
    "joint": (Phase("joint", ("shared", "rpn", "region")),),
    # Ren et al. 2015, §3.2: two networks first, which the third and the fourth step make one.
    "4-step": (
        Phase("1: RPN", ("shared", "rpn"), whole=False),
        Phase("2: regions", ("shared", "region"), afresh=("shared",), whole=False),
        Phase("3: RPN, shared layers fixed", ("rpn",), afresh=("rpn",)),
        Phase("4: regions, shared layers fixed", ("region",)),
    ),
}


class PhaseLosses(nn.Module):
    """Maps images, targets and, where a phase takes them, proposals to the phase's losses."""

    def __init__(self, detector: Detector, phase: Phase) -> None:
        super().__init__()
        self.detector = detector
        self._phase = phase
        detector.train_parts(*phase.parts)
        self.train()

    def forward(
        self, images: list[Tensor], targets: list[Target], proposals: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the losses, named as in ``LOSSES``."""
        losses: dict[str, Tensor]
        if proposals is not None:
            losses = self.detector.region_losses(images, targets, proposals)
        elif "region" in self._phase.parts:
            losses = self.detector(images, targets)
        else:
            losses = self.detector.rpn_losses(images, targets)
        return losses


def begun_afresh(tensors: dict[str, Tensor], phases: Iterable[Phase]) -> dict[str, Tensor]:
    """Return those of a detector's ``tensors`` that belong to what any of ``phases`` renews."""
    modules = tuple(f"{PARTS[part]}." for phase in phases for part in phase.afresh)
    return {name: tensor for name, tensor in tensors.items() if name.startswith(modules)}


def frozen_proposer(detector: Detector) -> Detector:
    """Return a copy of ``detector`` that can only propose, and that training will not change."""
    proposer: Detector = copy.deepcopy(detector, {id(detector.roi_heads): nn.Identity()})
    proposer.requires_grad_(False).eval()
    return proposer


def most_bytes_aside(tensors: dict[str, Tensor], phases: Sequence[Phase]) -> int:
    """Return how many bytes of a detector's ``tensors`` are kept aside at most in any phase.

    That is its proposer, and what the phases after it begin afresh from.
    """
    regions = f"{PARTS['region']}."
    proposer = [tensor for name, tensor in tensors.items() if not name.startswith(regions)]
    return max(
        total_bytes(proposer if phase.takes_proposals else [])
        + total_bytes(begun_afresh(tensors, phases[number:]).values())
        for number, phase in enumerate(phases, start=1)
    )
