"""What the tasks of both halves of localization share (appendix C): their tests and results."""

from abc import abstractmethod
from typing import Any, TypeVar

from torch import Tensor, nn

from deepres.data.described import described
from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationData
from deepres.data.images import modification_times
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.detection.localization import localization_error_pct, right_guesses
from deepres.event_log import last_whole_window, of_split
from deepres.execution import Execution
from deepres.recipes.localization import BoxRecipe
from deepres.run_folder import Event, RunFolder
from deepres.training.step import loss_and_error
from deepres.training.task import Task

R = TypeVar("R", bound=BoxRecipe)
D = TypeVar("D")

VIEWS = "single-scale"
"""What a network sees of an image on the way: all of it, at one scale."""


class LocalizingTask(Task[R, D]):
    """A network that learns where the object of a given class is."""

    measures = ("loss", "error")

    data: LocalizationData
    _meta: dict[str, Any]
    """What recipe.json has on the networks."""
    _network: nn.Module
    """What is trained; it shares its gradients with the other processes."""

    @abstractmethod
    def locate(self, images: BoxedImages, classes: Tensor, execution: Execution) -> Tensor:
        """Return the best box of each image for each of its ``classes``, (N, K, 4) in pixels."""

    @property
    def label(self) -> str:
        """What its bar is called."""
        return f"localize {self.recipe.model}"

    def log(self, step: int, window: Tensor) -> Event:
        """Return the window's loss and error."""
        return loss_and_error(window)

    def evaluate(self, step: int, folder: RunFolder) -> list[Event]:
        """Locate the objects of the watched test images, at the last step of all."""
        last = step == self.recipe.steps
        dataset = self.data.test if last else self.data.test.spread(self.recipe.eval_images)
        images = BoxedImages.of(dataset)
        classes = images.classes[:, None]
        self._network.eval()
        boxes = self.locate(images, classes, self.execution.quietly())
        self._network.train()
        right = right_guesses(classes + 1, boxes, [image.objects for image in dataset.images])
        split = "test" if last else "val"  # as detectors: a test is of all images
        error_pct = localization_error_pct(right, 1)
        return [{"split": split, "error_pct": error_pct, "images": len(images)}]

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: model and optimizer are all that changes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up nothing."""

    def meta(self) -> dict[str, Any]:
        """Return what the networks are, and where they are from."""
        return self._meta

    def provenance(self) -> dict[str, Any]:
        """Return how old the image files are."""
        paths = [*self.data.train.paths(), *self.data.test.paths()]
        return {"image_files": modification_times(paths)}

    def result(self, events: list[Event]) -> dict[str, Any]:
        """Return where the run began, the final errors and loss, and the training boxes' mean."""
        trained = last_whole_window(events, self.recipe.log_every)
        return {
            **{key: value for key, value in self._meta.items() if key != "network"},
            "test_error_pct": of_split(events, "test")[-1]["error_pct"],
            "train_error_pct": trained["error_pct"],
            "train_loss": trained["loss"],
            "mean_box": BoxedImages.of(self.data.train).mean_box().tolist(),
        }


def described_with_test(data: LocalizationData) -> dict[str, Any]:
    """Return what recipe.json has on ``data``, and a checksum of the test images alone."""
    return {**described(data), "test_fingerprint": data.test.fingerprint()}


def check_share(recipe: BoxRecipe, world: World) -> None:
    """Make sure that the processes can share a batch evenly.

    Raises:
        UserError: they cannot.
    """
    if (size := recipe.batch_size) % world.size:
        raise UserError(f"batch_size={size} cannot be shared evenly by {world.size} processes")
