"""The task of appendix C's second half: an R-CNN learns to judge and move what an RPN proposes.

The RPN stays as it is. What it proposes on the training images is computed when a run starts and
when it goes on, to the same bits, and kept in memory alone.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationRCNNData
from deepres.data.detection.localization_regions import RegionBatches, RegionPool, Regions
from deepres.detection.localization_rcnn import PerClassRCNN
from deepres.detection.localizer_file import load_localizer
from deepres.detection.rcnn_file import build_rcnn, save_rcnn
from deepres.errors import UserError
from deepres.evaluation.detection.localizer_inference import propose
from deepres.evaluation.detection.region_inference import locate_by_regions
from deepres.execution import Execution
from deepres.models.weight_kinds import LOCALIZER
from deepres.recipes import LocalizationRCNNRecipe
from deepres.runtime import derive_seed, drawing_from, initial_weights_of
from deepres.training.begun_from import found_again, origin
from deepres.training.localization_start import check_classes, initial_classifier
from deepres.training.localizing import VIEWS, LocalizingTask, check_share, described_with_test
from deepres.training.optim import make_optimizer, set_learning_rate
from deepres.training.small_images import check_sizes


class LocalizationRCNN(LocalizingTask[LocalizationRCNNRecipe, LocalizationRCNNData]):
    """The training of an R-CNN; its sibling layers are new, the others a classifier's.

    Args:
        recipe: how it is trained.
        data: what on.
        meta: what the networks are: ``initial_weights``, ``rpn`` and ``network``.
        seed: of the new layers and of all random draws.
        execution: where and how.
    """

    recipe_type = LocalizationRCNNRecipe
    data_types = (LocalizationRCNNData,)

    def __init__(
        self,
        recipe: LocalizationRCNNRecipe,
        data: LocalizationRCNNData,
        meta: dict[str, Any],
        seed: int,
        execution: Execution,
    ) -> None:
        self.recipe, self.data, self.seed, self.execution = recipe, data.images, seed, execution
        self._meta = meta
        world, device = execution.world, execution.device
        check_share(recipe, world)
        self._described = {
            **meta["network"],
            "recipe": recipe.to_dict(),
            "classes": self.data.classes,
        }
        with initial_weights_of(seed):
            localizer = build_rcnn(self._described)
        localizer.proposer.eval().requires_grad_(False)
        self.localizer = localizer.to(device).to(memory_format=torch.channels_last)
        self.model: nn.Module = localizer
        self._network = world.sharing_gradients(localizer.rcnn, device)
        self.optimizer = make_optimizer(localizer.rcnn, recipe)
        self._batches: RegionBatches | None = None

    @classmethod
    def begin(
        cls,
        recipe: LocalizationRCNNRecipe,
        data: LocalizationRCNNData,
        seed: int,
        execution: Execution,
        weights: Path | None,
    ) -> Self:
        """Set up a run at step 0.

        It starts from ``weights`` of the recipe's network for classification; None: from those
        that the RPN started from.
        """
        images, rpn = data.images, check_rpn(data.rpn)
        proposer, noted = load_localizer(rpn)
        check_classes(proposer.classes, images, rpn)
        rpns = noted.get("initial_weights")
        classifier, given = initial_classifier(
            weights or (rpns and found_again(rpns)), recipe.model, images
        )
        network = {"architecture": classifier.network.architecture, "rpn": noted[LOCALIZER]}
        meta = {"initial_weights": given, "rpn": origin(rpn), "network": network}
        task = cls(recipe, data, meta, seed, execution)
        localizer = task.localizer
        localizer.proposer.load_state_dict(proposer.state_dict())
        kept, known = localizer.rcnn.network, classifier.network.state_dict()
        kept.load_state_dict({name: known[name] for name in kept.state_dict()})
        localizer.mean.copy_(classifier.mean.mean((1, 2), keepdim=True))
        localizer.std.copy_(classifier.std)
        return task

    @classmethod
    def begin_again(
        cls,
        recipe: LocalizationRCNNRecipe,
        data: LocalizationRCNNData,
        meta: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up a run at step 0, as it was begun before, with the same RPN."""
        data = data._replace(rpn=found_again(meta["rpn"]))
        return super().begin_again(recipe, data, meta, execution)

    @classmethod
    def rebuild(
        cls,
        recipe: LocalizationRCNNRecipe,
        data: LocalizationRCNNData,
        meta: dict[str, Any],
        saved: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint, ``saved``, will be loaded into."""
        known = {key: meta[key] for key in ("initial_weights", "rpn", "network")}
        return cls(recipe, data, known, meta["seed"], execution)

    def prepare(self) -> None:
        """Let the RPN say which regions there are to draw from."""
        localizer, images = self.localizer, BoxedImages.of(self.data.train)
        self.execution.say(f"proposing regions in {len(images):,} images of {self.data.source}")
        proposals = propose(
            localizer.proposer,
            images,
            images.classes[:, None],
            VIEWS,
            self.execution,
            count=localizer.proposals,
            nms_iou=localizer.nms_iou,
        )
        pool = RegionPool.of(images, proposals, self.recipe.foreground_iou)
        self._batches = RegionBatches(
            pool,
            self.recipe,
            localizer.warp,
            localizer.mean,
            localizer.std,
            self.seed,
            self.execution,
        )

    @classmethod
    def check_learnable(cls, recipe: LocalizationRCNNRecipe, data: LocalizationRCNNData) -> None:
        """Make sure that the images suit the recipe."""
        check_sizes(data.images, recipe)

    @staticmethod
    def describe(data: LocalizationRCNNData) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": described_with_test(data.images)}

    def step(self, step: int) -> Tensor:
        """Take the step; return the loss and the share of regions that are misjudged, (2,)."""
        assert self._batches
        set_learning_rate(self.optimizer, self.recipe.learning_rate(step))
        regions = self._batches(step)
        # Dropout, which VGG has, depends on the step alone.
        seed = derive_seed(self.seed, "step", step, self.execution.world.rank)
        with drawing_from(seed, self.execution.device):
            return rcnn_step(self._network, self.localizer.rcnn, self.optimizer, regions)

    def locate(self, images: BoxedImages, classes: Tensor, execution: Execution) -> Tensor:
        """Return the best box of each image for each of its ``classes``, (N, K, 4) in pixels."""
        return locate_by_regions([self.localizer], images, classes, VIEWS, execution)

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write both networks, with ``result`` in their metadata."""
        save_rcnn(path, self.localizer, self._described, result)

    def close(self) -> None:
        """End the processes that decode images."""
        if self._batches:
            self._batches.close()


def check_rpn(rpn: Path | None) -> Path:
    """Return the trained RPN that proposes regions.

    Raises:
        UserError: there is none.
    """
    if rpn is None:
        raise UserError("an R-CNN learns from what an RPN proposes: give that one's run by --rpn")
    return rpn


def rcnn_step(
    network: nn.Module, rcnn: PerClassRCNN, optimizer: torch.optim.Optimizer, regions: Regions
) -> Tensor:
    """Take one step of SGD.

    Args:
        network: the R-CNN, or what shares its gradients.
        rcnn: the R-CNN.
        optimizer: of its parameters.
        regions: a process's share of the batch, on the device.

    Returns:
        (2,): the loss, and the share of regions that are taken for what they are not.
    """
    logits, deltas = network(regions.images, regions.classes)
    losses = rcnn.losses((logits, deltas), regions.labels, regions.boxes, regions.matched)
    loss = torch.stack(list(losses.values())).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    error = ((logits > 0) != (regions.labels > 0)).float().mean()
    return torch.stack([loss.detach(), error])
