import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runs import assert_same_bits, on_cpu, resume, train
from safetensors.torch import load_file
from small_detection import narrow_networks, tiny_recipe, tiny_sets
from torch import nn

from deepres.checkpoint import load_checkpoint, save_checkpoint, total_bytes
from deepres.data.detection.batches import DetectionBatches
from deepres.data.detection.records import AnnotatedImage, DetectionData, DetectionSet
from deepres.detection.beginning import initial_detector
from deepres.detection.faster_rcnn import PARTS, Detector
from deepres.detection.weights import load_detector
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.detection.detector_inference import detect_all
from deepres.models import Classifier, build_network, save_weights
from deepres.recipes import DetectionRecipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.training.checkpointer import check_space
from deepres.training.clock import Clock
from deepres.training.detection import Detection, detector_step
from deepres.training.interrupt import Interrupted
from deepres.training.optim import set_learning_rate
from deepres.training.state import Diverged, RunState

CPU = torch.device("cpu")
RECIPE = tiny_recipe()
Sets = tuple[DetectionSet, DetectionSet]


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with narrow_networks():
        yield


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    return tiny_sets(tmp_path_factory.mktemp("voc"))


def run(path: Path, sets: Sets, recipe: DetectionRecipe = RECIPE, **options) -> RunFolder:
    train(recipe, path, DetectionData(*sets), workers=0, **options)
    return RunFolder(path)


def resumed(path: Path, sets: Sets, **options) -> RunFolder:
    resume(path, DetectionData(*sets), workers=0, **options)
    return RunFolder(path)


@pytest.fixture(scope="module")
def whole(sets: Sets, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(tmp_path_factory.mktemp("runs") / "whole", sets)


def test_a_run_leaves_its_folder(whole: RunFolder, sets: Sets) -> None:
    meta = whole.read_meta()
    assert recipe_from_dict(meta["recipe"], DetectionRecipe) == RECIPE
    assert meta["data"]["fingerprint"] == sets[0].fingerprint()
    assert meta["test_data"]["fingerprint"] == sets[1].fingerprint()
    assert meta["initial_weights"] is None

    events = whole.read_events()
    trained = [(e["step"], e["phase"][0], e["lr"]) for e in events if e["split"] == "train"]
    # Windows end with a phase, too.
    assert trained == [(2, "1", 0.001), (3, "2", 0.001), (4, "2", 0.0001), (6, "3", 0.001),
                       (8, "4", 0.0001)]  # fmt: skip
    parts = [{key[5:] for key in e if key.startswith("loss_")} for e in events if "loss" in e]
    rpn, regions = {"objectness", "rpn_box_reg"}, {"classifier", "box_reg"}
    assert parts == [rpn, regions, regions, rpn, regions]
    for event in (event for event in events if "loss" in event):
        assert event["loss"] == pytest.approx(
            sum(value for key, value in event.items() if key.startswith("loss_"))
        )
    # In phases 1 and 2 there are two networks, and no detector to test.
    assert [(e["step"], e["split"]) for e in events if "loss" not in e] == [
        *((6, "val"), (8, "test"))
    ]

    result = json.loads(whole.result.read_text())
    detector = load_detector(whole.path)
    scores = detect_all([detector], sets[1], on_cpu(workers=0)).scores()
    (noted,) = json.loads((whole.path / "evaluations.json").read_text())
    assert scores["map_50_pct"] == result["test_map_50_pct"] == noted["map_50_pct"]
    assert (noted["set"], noted["images"], noted["rule"]) == (sets[1].name, 3, "area")
    assert noted["fingerprint"] == sets[1].fingerprint()
    assert detector.classes == ("cat",)


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 7])
def test_a_run_stopped_in_any_phase_resumes_to_the_same_bits(
    tmp_path: Path, sets: Sets, whole: RunFolder, interrupt_after, stop: int
) -> None:
    interrupt_after(stop)
    command = f"deepres detect train --resume {tmp_path / 'run'}"
    with pytest.raises(Interrupted, match=f"stopped at step {stop}; go on with: {command}"):
        run(tmp_path / "run", sets)
    torch.manual_seed(99)  # the caller's random state must not matter
    assert_same_bits(whole, resumed(tmp_path / "run", sets))


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, sets: Sets, whole: RunFolder
) -> None:
    RunFolder(tmp_path / "run").write_meta(whole.read_meta())
    assert_same_bits(whole, resumed(tmp_path / "run", sets))


def test_it_leaves_the_callers_random_state_alone(tmp_path: Path, sets: Sets) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "run", sets, tiny_recipe(1, "joint"))
    assert torch.equal(torch.rand(3), expected)


def tensors_of(detector: Detector) -> dict[str, dict[str, torch.Tensor]]:
    return {
        part: {k: v.clone() for k, v in detector.get_submodule(name).state_dict().items()}
        for part, name in PARTS.items()
    }


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


@pytest.mark.parametrize("batch_norm", ["frozen", "trained"])
def test_each_phase_trains_its_parts_alone(sets: Sets, batch_norm: str) -> None:
    recipe = tiny_recipe(8, "4-step", f"batch_norm={batch_norm}", "lr=0.01")
    detector = initial_detector(recipe, sets[0].classes, None, seed=0).detector
    initial = tensors_of(detector)
    state = Detection(recipe, DetectionData(*sets), detector, 0, on_cpu(workers=0))
    options = {"batch_size": 2, "flip": True, "masks": False, "steps": 1, "seed": 0}
    images, targets = DetectionBatches(sets[0], execution=on_cpu(workers=0), **options)(0)
    before: dict[str, dict[str, torch.Tensor]] = {}
    for number, trained in enumerate(
        [{"shared", "rpn"}, {"shared", "region"}, {"rpn"}, {"region"}]
    ):
        if number:
            state.begin_phase(number)
        now = tensors_of(detector)
        if number == 1:  # from the weights of the classifier again
            assert equal(now["shared"], initial["shared"])
            assert equal(now["region"], initial["region"])
        if number == 2:  # the detector's shared layers, with a new RPN
            assert equal(now["shared"], before["shared"])
            assert equal(now["rpn"], initial["rpn"])
        if number == 3:
            assert all(equal(now[part], before[part]) for part in PARTS)
        if number in (1, 3):
            assert equal(state.proposer.backbone.state_dict(), before["shared"])
            assert equal(state.proposer.rpn.state_dict(), before["rpn"])
        torch.manual_seed(number)
        state.network.eval()  # as for an evaluation
        state.network.train()
        detector_step(state.network, state.optimizer, images, targets, state.proposer)
        before = tensors_of(detector)
        assert {part for part in PARTS if not equal(before[part], now[part])} == trained
    assert not state.initial


class Two(World):
    """Two processes with the same losses, the leader's BN statistics being zero."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.mul_(2)

    def broadcast_(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.zero_()

    def sharing_gradients(self, network: nn.Module, device: torch.device) -> nn.Module:
        return network


@pytest.fixture
def shared(sets: Sets) -> Detection:
    """The task of one of two processes."""
    recipe = tiny_recipe(8, "4-step", "batch_norm=trained", "log_every=4")
    detector = initial_detector(recipe, sets[0].classes, None, seed=0).detector
    execution = on_cpu(workers=0, world=Two(0, 2))
    return Detection(recipe, DetectionData(*sets), detector, 0, execution)


def test_a_checkpoint_between_two_logs_leaves_the_shared_losses(
    shared: Detection, tmp_path: Path
) -> None:
    state = RunState(shared, Clock())
    for loss in (1.0, 3.0):
        state.record(torch.full((5,), loss))
        state.save(RunFolder(tmp_path))
    assert load_checkpoint(tmp_path / "checkpoint.pt")["window"][:2, 0].tolist() == [1, 3]
    assert shared.log(2, state.means())["loss_objectness"] == 2


def test_a_phase_begins_with_the_leaders_statistics(shared: Detection) -> None:
    for buffer in shared.detector.buffers():
        buffer.fill_(1)
    shared.begin_phase(1)
    assert not any(buffer.any() for buffer in shared.proposer.buffers())


def test_the_disk_must_have_room_for_what_any_phase_saves(
    tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(8, "4-step")
    detector = initial_detector(recipe, sets[0].classes, None, seed=0).detector
    task = Detection(recipe, DetectionData(*sets), detector, 0, on_cpu(workers=0))
    weights, largest = total_bytes(detector.state_dict().values()), 0
    momenta = total_bytes(detector.parameters())

    def ask(free: int) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda disk: SimpleNamespace(free=free))
        check_space([(RunFolder(tmp_path / "run"), task)])

    asked = task.most_bytes_besides()
    room = 3 * (weights + momenta + asked) + weights
    ask(room)
    with pytest.raises(UserError, match=r"run is on a disk with .* MB free, but "):
        ask(room - 1)
    for number in range(4):
        if number:
            task.begin_phase(number)
        state = task.state_dict()
        kept = [*state["proposer"].values(), *state["initial"].values()]
        largest = max(largest, total_bytes(kept))
    assert asked == largest > 0


def test_biases_learn_at_twice_the_rate_through_every_drop(sets: Sets) -> None:
    recipe = tiny_recipe(28, "4-step")  # a step for 10,000 of the paper's
    detector = initial_detector(recipe, sets[0].classes, None, seed=0).detector
    state = Detection(recipe, DetectionData(*sets), detector, 0, on_cpu(workers=0))
    rates = []
    for step in range(28):
        if recipe.phase_of(step) != state.number:
            state.begin_phase(recipe.phase_of(step))
        set_learning_rate(state.optimizer, recipe.learning_rate(step))
        rates.append(tuple(group["rate"] for group in state.optimizer.param_groups))
    first, dropped = [(0.001, 0.002)], [(0.0001, 0.0002)]
    assert rates == 2 * [*6 * first, *2 * dropped, *3 * first, *3 * dropped]
    weights, biases = (group["params"] for group in state.optimizer.param_groups)
    assert all(weight.ndim > 1 for weight in weights)
    assert all(bias.ndim == 1 for bias in biases)


def classifier_file(path: Path, name: str = "resnet18") -> Path:
    torch.manual_seed(1)
    network = build_network(name, num_classes=3)
    mean, std = torch.rand(3, 8, 8), torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    save_weights(path, Classifier(network, mean, ("a", "b", "c"), std=std, crop=8), {})
    return path


def test_weights_bring_their_preparation_along(
    tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = classifier_file(tmp_path / "classifier.safetensors")
    classifier = load_file(file)
    recipe = tiny_recipe(1, "joint", "frozen_stages=4")
    folder = run(tmp_path / "run", sets, recipe, weights=Path(file.name))
    detector = load_detector(folder.path)
    torch.testing.assert_close(detector.mean, classifier["input_mean"].mean((1, 2)))
    torch.testing.assert_close(detector.std, torch.tensor([0.2, 0.3, 0.25]))
    own = detector.state_dict()
    for name, tensor in classifier.items():
        if name.startswith(("conv1", "layer1", "layer2", "layer3")) and "num_batches" not in name:
            assert torch.equal(own[f"backbone.{name}"], tensor), name
    noted = folder.read_meta()["initial_weights"]
    assert (noted["file"], noted["source"]) == (str(file), "classifier")
    assert {name.rpartition(".")[0] for name in noted["new"]} == {
        *("rpn.head.conv.0", "rpn.head", "roi_heads.box_predictor")
    }


def test_a_detectors_weights_begin_another_ones_training(
    tmp_path: Path, sets: Sets, interrupt_after
) -> None:
    """Appendix B's VOC from COCO's: all is kept but the layers of the classes."""
    settings = ["batch_norm=trained", "lr=0.001"]
    source = run(tmp_path / "source", sets, tiny_recipe(2, "joint", *settings))
    two = DetectionSet("two", ("cat", "dog"), sets[0].images, sets[0].location)
    said: list[str] = []
    options = {"weights": source.path, "seed": 3, "save_every_s": 0.0}
    whole = run(tmp_path / "run", (two, None), **options, say=said.append)
    taken = f"taken from the detector in {source.weights}: all but the layers of its classes"
    layers = ["roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"]
    assert f"{taken}; new, drawn by seed 3: {', '.join(layers)}" in said
    noted = whole.read_meta()["initial_weights"]
    assert (noted["file"], noted["source"]) == (str(source.weights), "detector")
    assert noted["sha256"] == hashlib.sha256(source.weights.read_bytes()).hexdigest()
    assert noted["new"] == layers
    assert json.loads(whole.result.read_text())["initial_weights"] == noted
    interrupt_after(5)  # steps 5 and 6 renew the RPN from what it began with
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", (two, None), **options)
    assert_same_bits(whole, resumed(tmp_path / "stopped", (two, None)))


def test_weights_of_another_network_are_refused(tmp_path: Path, sets: Sets) -> None:
    file = classifier_file(tmp_path / "other.safetensors", "plain18")
    with pytest.raises(UserError, match="holds plain18, but the recipe is for resnet18"):
        run(tmp_path / "run", sets, weights=file)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_the_weights_that_it_began_with(tmp_path: Path, sets: Sets) -> None:
    file = classifier_file(tmp_path / "classifier.safetensors")
    folder = run(tmp_path / "run", sets, tiny_recipe(2, "joint"), weights=file, save_every_s=0)
    first = load_file(folder.weights)
    file.unlink()
    folder.checkpoint.unlink()  # the one before is that of step 1
    for name, tensor in load_file(resumed(folder.path, sets).weights).items():
        assert torch.equal(tensor, first[name])


def test_a_run_that_is_killed_before_its_first_step_goes_on(tmp_path: Path, sets: Sets) -> None:
    def killed(task: Detection, step: int) -> None:
        raise KeyboardInterrupt

    patch = pytest.MonkeyPatch()
    patch.setattr(Detection, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", sets, tiny_recipe(2, "joint"))
    patch.undo()
    assert load_checkpoint(tmp_path / "run/checkpoint.pt")["step"] == 0
    undisturbed = run(tmp_path / "other", sets, tiny_recipe(2, "joint"))
    assert_same_bits(undisturbed, resumed(tmp_path / "run", sets))


def test_without_a_test_set_there_is_no_test(tmp_path: Path, sets: Sets) -> None:
    folder = run(tmp_path / "run", (sets[0], None), tiny_recipe(2, "joint"))
    assert {event["split"] for event in folder.read_events()} == {"train"}
    assert "test_map_50_pct" not in json.loads(folder.result.read_text())
    with pytest.raises(UserError, match="began with no test set, but this is"):
        resumed(folder.path, sets)


def without_objects(image: AnnotatedImage) -> AnnotatedImage:
    """The same, but what is on it is difficult."""
    ignored = torch.ones_like(image.objects.ignored)
    return dataclasses.replace(image, objects=dataclasses.replace(image.objects, ignored=ignored))


def test_a_test_set_without_objects_is_refused(tmp_path: Path, sets: Sets) -> None:
    """It would stop the run at its first test, and each time that it goes on."""
    empty = dataclasses.replace(sets[1], images=tuple(map(without_objects, sets[1].images)))
    with pytest.raises(UserError, match="has no objects to find, so there would be no precision"):
        run(tmp_path / "run", (sets[0], empty))
    assert not (tmp_path / "run").exists()


def test_watched_images_without_objects_have_no_precision(tmp_path: Path, sets: Sets) -> None:
    first, *others = sets[1].images
    tested = dataclasses.replace(sets[1], images=(without_objects(first), *others))
    said: list[str] = []
    recipe = tiny_recipe(3, "joint", "eval_images=1")
    folder = run(tmp_path / "run", (sets[0], tested), recipe, say=said.append)
    assert [event["split"] for event in folder.read_events()] == ["train", "test"]
    assert any("that are watched, eval_images=1, have no objects" in line for line in said)


def test_other_images_are_refused(tmp_path: Path, sets: Sets, whole: RunFolder) -> None:
    others = tiny_sets(tmp_path / "others", images=3)
    with pytest.raises(UserError, match="give the same data by --data"):
        resumed(whole.path, others)


def outlined(data: DetectionSet, least: float) -> DetectionSet:
    """The same with an outline for each object, a triangle that begins ``least`` to the right."""
    images = []
    for image in data.images:
        outlines = tuple(
            [[x1 + least, y1, x2, y1, x2, y2]] for x1, y1, x2, y2 in image.objects.boxes.tolist()
        )
        objects = dataclasses.replace(image.objects, segmentations=outlines)
        images.append(dataclasses.replace(image, objects=objects))
    return dataclasses.replace(data, images=tuple(images))


def test_other_outlines_are_told_where_masks_are_learnt(
    tmp_path: Path, sets: Sets, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (outlined(sets[0], least) for least in (0, 2))
    for name, settings, told in (("boxes", (), False), ("masks", ("masks=true",), True)):
        folder = run(tmp_path / name, (before, None), tiny_recipe(1, "joint", *settings))
        assert ("outlines" in folder.read_meta()["provenance"]) == told
        assert "resumed" not in resumed(folder.path, (before, None), steps=2).read_meta()
        resumed(folder.path, (after, None), steps=3)
        assert ("so the bits may differ: outlines" in capsys.readouterr().out) == told
        assert ("resumed" in folder.read_meta()) == told


def test_a_finished_run_can_be_extended(tmp_path: Path, sets: Sets) -> None:
    folder = run(tmp_path / "run", sets, tiny_recipe(2, "joint"))
    tests = (folder.path / "evaluations.json").read_bytes()
    refined = [{**json.loads(tests)[0], "improvements": ["box refinement"]}]
    (folder.path / "evaluations.json").write_text(json.dumps(json.loads(tests) + refined))
    resumed(folder.path, sets)  # there is nothing to do, and the tests stay
    assert len(json.loads((folder.path / "evaluations.json").read_text())) == 2
    resumed(folder.path, sets, steps=3)
    # What other tests found of the weights of two steps is not of those of three.
    (own,) = json.loads((folder.path / "evaluations.json").read_text())
    assert own["improvements"] == []
    assert len(json.loads((folder.path / "evaluations-2steps.json").read_text())) == 2
    (folder.path / "evaluations.json").unlink()
    resumed(folder.path, sets, steps=4)
    assert len(json.loads((folder.path / "evaluations.json").read_text())) == 1
    assert json.loads((folder.path / "evaluations-3steps.json").read_text()) == []
    straight = run(tmp_path / "straight", sets, tiny_recipe(2, "joint").extended(4))
    weights = load_file(straight.weights)
    for name, tensor in load_file(folder.weights).items():
        assert torch.equal(tensor, weights[name])


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, sets: Sets) -> None:
    folder = run(tmp_path / "run", sets, tiny_recipe(2, "joint"))
    folder.write_meta(folder.read_meta() | {"seed": 1})
    with pytest.raises(UserError, match=r"is of another run than .*: seed 1 \(saved: 0\)"):
        resumed(folder.path, sets)


def test_a_run_of_before_goes_on_in_its_own_words(tmp_path: Path, sets: Sets) -> None:
    """Where bad boxes were dropped, in recipe.json and in the checkpoint, they are skipped."""
    folder = run(tmp_path / "run", sets, tiny_recipe(2, "joint", "bad_boxes=skip"))
    meta, saved = json.loads(folder.recipe.read_text()), load_checkpoint(folder.checkpoint)
    del meta["sha256"]
    for fields in (meta["recipe"], meta["deviations"], saved["run"]):
        assert fields["bad_boxes"] == "skip"
        fields["bad_boxes"] = "drop"
    folder.write_meta(meta)
    save_checkpoint(folder.checkpoint, saved)
    resumed(folder.path, sets, steps=3)
    assert folder.read_meta()["recipe"]["bad_boxes"] == "skip"
    assert (folder.read_result() or {})["steps"] == 3


def test_divergence_ends_the_run(tmp_path: Path, sets: Sets) -> None:
    with pytest.raises(Diverged, match=r"training diverged: the loss is .* after step"):
        run(tmp_path / "run", sets, tiny_recipe(6, "joint", "lr=1e12", "log_every=6"))


def test_training_and_test_classes_must_agree(tmp_path: Path, sets: Sets) -> None:
    other = dataclasses.replace(sets[1], classes=("dog",))
    with pytest.raises(UserError, match=r"other classes: 1 \(cat\) and 1 \(dog\)"):
        run(tmp_path / "run", (sets[0], other))
    names = ("cat", *(f"class {i:02}" for i in range(50)))
    train = dataclasses.replace(sets[0], classes=names)
    test = dataclasses.replace(sets[1], classes=(*names[:-1], "class 50"))
    with pytest.raises(UserError, match=r"51 \(class 49, cat, .* and 51 \(class 50, cat, class 00"):
        DetectionData(train, test).check_test()
    test = dataclasses.replace(sets[1], classes=(*names[:-2], names[-1], names[-2]))
    with pytest.raises(
        UserError, match=r"another order: 51 \(class 48, class 49, cat, .* and 46 more"
    ):
        DetectionData(train, test).check_test()


def test_images_without_objects_are_refused_before_there_is_a_folder(
    tmp_path: Path, sets: Sets
) -> None:
    empty = dataclasses.replace(sets[0], images=())
    with pytest.raises(UserError, match="has no objects to learn from"):
        run(tmp_path / "run", (empty, sets[1]))
    assert not (tmp_path / "run").exists()
