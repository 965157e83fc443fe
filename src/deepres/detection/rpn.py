"""The region proposal network: torchvision's, trained as published."""

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead

from deepres.recipes.detector import DetectorSettings

Target = dict[str, Tensor]


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]
    """Ranks boxes by how likely they hold an object of any class.

    Anchors that reach over the image's border are left out of training, unless
    ``train_border_anchors``: "they introduce large, difficult to correct error terms" (Ren et al.).
    """

    def __init__(self, channels: int, settings: DetectorSettings) -> None:
        anchors = AnchorGenerator((settings.anchor_sizes,), (settings.anchor_ratios,))
        super().__init__(
            anchors,
            proposal_head(channels, settings.rpn_channels, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=settings.rpn_foreground_iou,
            bg_iou_thresh=settings.rpn_background_iou,
            batch_size_per_image=settings.rpn_sampled,
            positive_fraction=settings.rpn_foreground_fraction,
            pre_nms_top_n={
                "training": settings.proposals_before_nms_train,
                "testing": settings.proposals_before_nms_test,
            },
            post_nms_top_n={
                "training": settings.proposals_train,
                "testing": settings.proposals_test,
            },
            nms_thresh=settings.proposal_nms_iou,
        )
        self.min_size = settings.proposal_min_size
        self.many = False
        self.train_border_anchors = settings.train_border_anchors

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: list[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return each image's proposals (R, 4), best first, and in training mode the losses."""
        if targets is not None:
            sizes = [torch.tensor(size) for size in images.image_sizes]
            targets = [{**t, "size": size} for t, size in zip(targets, sizes, strict=True)]
        proposals: tuple[list[Tensor], dict[str, Tensor]] = super().forward(
            images, features, targets
        )
        return proposals

    def propose(
        self, images: ImageList, features: dict[str, Tensor], *, for_training: bool
    ) -> list[Tensor]:
        """Return each image's proposals, in evaluation mode, but as many as training has."""
        self.many = for_training
        try:
            proposals: list[Tensor] = self(images, features)[0]
        finally:
            self.many = False
        return proposals

    def pre_nms_top_n(self) -> int:
        """Return how many boxes enter non-maximum suppression."""
        many: int = self._pre_nms_top_n["training" if self.training or self.many else "testing"]
        return many

    def post_nms_top_n(self) -> int:
        """Return how many of those that it leaves are proposed."""
        many: int = self._post_nms_top_n["training" if self.training or self.many else "testing"]
        return many

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return each anchor's label (1 object, 0 background, −1 neither) and object's box.

        Args:
            anchors: those of each image, (A, 4).
            targets: ``boxes`` (G, 4) and ``size``, the image's height and width.
        """
        labels, boxes = [], []
        for of_image, target in zip(anchors, targets, strict=True):
            height, width = target["size"].tolist()
            inside = torch.ones(len(of_image), dtype=torch.bool, device=of_image.device)
            if not self.train_border_anchors:
                limit = of_image.new_tensor([width, height])
                inside = ((of_image[:, :2] >= 0) & (of_image[:, 2:] <= limit)).all(1)
            if not inside.any():  # an image smaller than every anchor
                inside[:] = True
            (found,), (matched,) = super().assign_targets_to_anchors([of_image[inside]], [target])
            labels.append(found.new_full((len(of_image),), -1).masked_scatter(inside, found))
            boxes.append(of_image.masked_scatter(inside[:, None], matched))
        return labels, boxes


def proposal_head(channels: int, hidden: int, anchors: int) -> RPNHead:
    """Build torchvision's RPNHead with its 3×3 layer reducing ``channels`` to ``hidden``."""
    head = RPNHead(hidden, anchors)
    reduce = nn.Conv2d(channels, hidden, 3, padding=1)
    nn.init.normal_(reduce.weight, std=0.01)
    assert reduce.bias is not None
    nn.init.zeros_(reduce.bias)
    head.conv[0][0] = reduce
    return head
