"""CIFAR-10 as the customary script has it: each image through PIL, one at a time."""

from collections.abc import Callable

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.cifar10 import ImageSet


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision serves them, each brought to a tensor by ``transform``."""

    def __init__(self, images: ImageSet, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, 32, 32, 3)
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[place])), self.labels[place]
