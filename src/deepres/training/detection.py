"""The task of §4.3: Faster R-CNN learns to detect, in alternating phases or in one."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from deepres.data.detection.batches import DetectionBatches, Target, learnable
from deepres.data.detection.records import DetectionData
from deepres.data.images import modification_times
from deepres.detection.beginning import initial_detector, left_unscaled
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import PLAIN, improvements_in_use
from deepres.detection.weights import save_detector
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.detection.detector_inference import detect_all
from deepres.evaluation.detection.evaluation_log import detection_entry, note_detection
from deepres.event_log import of_split
from deepres.execution import Execution
from deepres.models import build_network
from deepres.recipes import DetectionRecipe
from deepres.run_folder import Event, RunFolder
from deepres.run_weights import weights_file
from deepres.runtime import derive_seed, drawing_from
from deepres.training.alternating import (
    LOSSES,
    SCHEDULES,
    Phase,
    PhaseLosses,
    begun_afresh,
    frozen_proposer,
    most_bytes_aside,
)
from deepres.training.begun_from import origin, without_folders
from deepres.training.optim import detector_optimizer, set_learning_rate
from deepres.training.task import Task


class Detection(Task[DetectionRecipe, DetectionData]):
    """A detector's training, phase by phase.

    Args:
        recipe: how it is trained.
        data: what on.
        detector: as it begins.
        seed: of the new layers' weights and of all random draws.
        execution: where and how.
        initial_weights: the file that it began with, its digest, what it holds, and what is new.
    """

    recipe_type = DetectionRecipe
    data_types = (DetectionData,)
    measures = LOSSES

    phase: Phase
    proposer: Detector | None
    """What makes the proposals, where the phase does not train them."""
    network: nn.Module
    """Maps a batch to the losses, and shares its gradients with the other processes."""

    def __init__(
        self,
        recipe: DetectionRecipe,
        data: DetectionData,
        detector: Detector,
        seed: int,
        execution: Execution,
        initial_weights: dict[str, Any] | None = None,
    ) -> None:
        self.recipe, self.data, self.seed, self.execution = recipe, data, seed, execution
        self.model = self.detector = detector.to(execution.device)
        self.initial_weights = initial_weights
        self._batches: DetectionBatches | None = None
        tensors = begun_afresh(detector.state_dict(), self._phases)
        self.initial = {name: tensor.clone() for name, tensor in tensors.items()}
        """What later phases will begin afresh from."""
        self.begin_phase(0)

    @classmethod
    def begin(
        cls,
        recipe: DetectionRecipe,
        data: DetectionData,
        seed: int,
        execution: Execution,
        weights: Path | None,
    ) -> Self:
        """Set up a run at step 0, on a classifier's or detector's ``weights`` or random ones."""
        _check_shares(recipe, execution.world)
        if data.test is not None and not data.test.spread(recipe.eval_images).has_objects:
            execution.say(
                "no precision will be logged before the last step: the test images that are "
                f"watched, eval_images={recipe.eval_images}, have no objects to find"
            )
        if unscaled := left_unscaled(recipe):
            execution.say(unscaled)
        file = weights_file(weights) if weights else None
        detector, source, new = initial_detector(recipe, data.train.classes, file, seed)
        if file is None:
            return cls(recipe, data, detector, seed, execution)
        execution.say(
            f"taken from the {source} in {file}: all but the layers of its classes; new, drawn by "
            f"seed {seed}: {', '.join(new)}"
        )
        noted = {**origin(file), "source": source, "new": list(new)}
        return cls(recipe, data, detector, seed, execution, noted)

    @classmethod
    def rebuild(
        cls,
        recipe: DetectionRecipe,
        data: DetectionData,
        meta: dict[str, Any],
        saved: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint, ``saved``, will be loaded into."""
        _check_shares(recipe, execution.world)
        made = meta["network"]
        mean, std = torch.tensor(made["mean"]), torch.tensor(made["std"])
        network = build_network(**made["architecture"])
        detector = Detector(network, mean, std, tuple(made["classes"]), recipe.detector)
        return cls(recipe, data, detector, meta["seed"], execution, meta["initial_weights"])

    @classmethod
    def check_learnable(cls, recipe: DetectionRecipe, data: DetectionData) -> None:
        """Make sure that there are objects to learn, and to find in a test of the same classes."""
        data.check_test()
        learnable(data.train, recipe.detector.masks)

    @staticmethod
    def describe(data: DetectionData) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": data.train.described(), "test_data": data.test and data.test.described()}

    @property
    def _phases(self) -> tuple[Phase, ...]:
        return SCHEDULES[self.recipe.schedule]

    @property
    def batch_size(self) -> int:
        """How many images a step of this phase takes, over all processes."""
        return self.phase.batch_size(self.recipe)

    @property
    def testable(self) -> bool:
        """Whether proposals and regions are of one network by now."""
        return self.phase.whole

    def ends_phase(self, step: int) -> bool:
        """Whether the phase ends after so many steps."""
        return step == self.recipe.steps_of_phase(self.number).stop

    def begin_phase(self, number: int) -> None:
        """Make ready what the phase with this number trains, and the proposals that it takes."""
        self.number, self.phase = number, self._phases[number]
        world, device = self.execution.world, self.execution.device
        # Each process has BN statistics of its own; what the phase keeps fixed is one detector.
        world.broadcast_(self.detector.buffers())
        # The proposals are those of the phase before: their network is put aside first.
        self.proposer = frozen_proposer(self.detector) if self.phase.takes_proposals else None
        own = self.detector.state_dict()
        for name, tensor in begun_afresh(self.initial, [self.phase]).items():
            own[name].copy_(tensor)
        self.initial = begun_afresh(self.initial, self._phases[number + 1 :])
        self.network = world.sharing_gradients(PhaseLosses(self.detector, self.phase), device)
        steps = self.recipe.steps_of_phase(number)
        self.optimizer = detector_optimizer(self.detector, self.recipe, steps.start)
        self.close()  # the batches of the phase before
        self._batches = DetectionBatches(
            self.data.train,
            batch_size=self.batch_size,
            flip=self.recipe.flip,
            masks=self.recipe.detector.masks,
            steps=len(steps),
            seed=derive_seed(self.seed, "phase", number),
            execution=self.execution,
        )

    def step(self, step: int) -> Tensor:
        """Take the step; return its ``LOSSES``, those that the phase does not have being 0."""
        if (number := self.recipe.phase_of(step)) != self.number:
            self.begin_phase(number)
        assert self._batches is not None
        set_learning_rate(self.optimizer, self.recipe.learning_rate(step))
        images, targets = self._batches(step - self.recipe.steps_of_phase(number).start)
        # Dropout, and which anchors and regions are drawn, depend on the step alone.
        seed = derive_seed(self.seed, "step", step, self.execution.world.rank)
        with drawing_from(seed, self.execution.device):
            losses = detector_step(self.network, self.optimizer, images, targets, self.proposer)
        none = torch.zeros((), device=self.execution.device)
        return torch.stack([losses.get(name, none).detach() for name in LOSSES])

    def log(self, step: int, window: Tensor) -> Event:
        """Return the phase, the mean of each of its losses, and of their sum, ``loss``."""
        means = dict(zip(LOSSES, window.t().contiguous().mean(1).tolist(), strict=True))
        parts = {name: means[name] for name in self.phase.losses(self.recipe.detector.masks)}
        return {"phase": self.phase.name, "loss": sum(parts.values()), **parts}

    def evaluate(self, step: int, folder: RunFolder) -> list[Event]:
        """Test on the images that are watched, if they have objects, or at the last step on all."""
        if self.data.test is None:
            return []
        world, last = self.execution.world, step == self.recipe.steps
        world.broadcast_(self.detector.buffers())  # each process has BN statistics of its own
        data = self.data.test if last else self.data.test.spread(self.recipe.eval_images)
        if not (last or data.has_objects):  # there is no precision
            return []
        self.detector.eval()
        found = detect_all([self.detector], data, self.execution.quietly())
        self.network.train()
        scores = world.broadcast_object(found.scores(resample=last) if world.leader else {})
        if last and world.leader:
            folder.set_tests_aside(before_test=True)
            used = improvements_in_use([self.detector], PLAIN)
            entry = detection_entry(data, scores, self.execution.provenance(), used)
            note_detection(folder.path, entry)
        precisions = {key: value for key, value in scores.items() if "map" in key}
        return [{"split": "test" if last else "val", **precisions}]

    def headline(self, event: Event) -> str:
        """Return the outcome of a test in a word or two."""
        return f"mAP {event['map_50_pct']:.1f} %"

    def state_dict(self) -> dict[str, Any]:
        """Return the phase, its proposer, and what later phases begin afresh from."""
        return {
            "phase": self.number,
            "proposer": self.proposer.state_dict() if self.proposer else {},
            "initial": self.initial,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned."""
        self.begin_phase(state["phase"])
        if self.proposer:
            self.proposer.load_state_dict(state["proposer"])
        device = self.execution.device
        self.initial = {name: tensor.to(device) for name, tensor in state["initial"].items()}

    def most_bytes_besides(self) -> int:
        """Return how much the proposer, and what later phases begin afresh from, take at most."""
        return most_bytes_aside(self.detector.state_dict(), self._phases)

    def meta(self) -> dict[str, Any]:
        """Return what the detector is built on, and how."""
        return {
            "initial_weights": self.initial_weights,
            "network": {
                "architecture": self.detector.architecture,
                "mean": self.detector.mean.tolist(),
                "std": self.detector.std.tolist(),
                "classes": list(self.detector.classes),
            },
        }

    def provenance(self) -> dict[str, Any]:
        """Return how old the image files are and, where masks are learnt, which outlines."""
        sets = [each for each in self.data if each]
        written = {"image_files": modification_times([p for each in sets for p in each.paths()])}
        if not self.recipe.detector.masks:
            return written
        return {**written, "outlines": " ".join(each.outlines_fingerprint() for each in sets)}

    def result(self, events: list[Event]) -> dict[str, Any]:
        """Return the final precisions and loss."""
        test = (of_split(events, "test") or [{}])[-1]
        return {
            "dataset": self.recipe.dataset,
            "test_data": self.data.test and self.data.test.name,
            **{f"test_{key}": test[key] for key in test if "map" in key},
            "train_loss": of_split(events, "train")[-1]["loss"],
            "initial_weights": self.initial_weights,
        }

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the detector, with ``result`` in its metadata."""
        save_detector(path, self.detector, without_folders(result))

    def close(self) -> None:
        """End the processes that decode images."""
        if self._batches:
            self._batches.close()


def detector_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: list[Tensor],
    targets: list[Target],
    proposer: Detector | None,
) -> dict[str, Tensor]:
    """Take one step of SGD; return this process's losses, on the device.

    Each loss is a mean over the anchors or regions that are drawn from the images of one process,
    and the gradient is the mean over the processes.
    """
    proposals = proposer.propose(images, for_training=True) if proposer else None
    optimizer.zero_grad()
    losses: dict[str, Tensor] = network(images, targets, proposals)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return losses


def _check_shares(recipe: DetectionRecipe, world: World) -> None:
    """Make sure that the processes can share each phase's batches evenly."""
    for phase in SCHEDULES[recipe.schedule]:
        if (size := phase.batch_size(recipe)) % world.size:
            field = "batch_size" if "region" in phase.parts else "rpn_batch_size"
            raise UserError(
                f"{field}={size} cannot be shared evenly by {world.size} processes; change one of "
                f"the two, e.g. --set {field}={world.size}"
            )
