"""What the commands take, which is declared without what they work with."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepres.cli.options import (
    bench,
    detect_train,
    evaluate,
    export_weights,
    import_weights,
    localize_evaluate,
    localize_train,
    responses,
    train,
)
from deepres.run_places import run_name


def option(module: object, name: str) -> argparse.Action:
    parser = argparse.ArgumentParser()
    module.add_to(parser.add_subparsers())
    (command,) = parser._subparsers._group_actions[0].choices.values()
    return command._option_string_actions[name]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["train", "resnet20", "--stpes", "3"],
        ["detect", "evaluate", "--help"],
        ["trian"],
    ],
)
def test_help_and_mistakes_do_not_wait_for_what_works(words: list[str]) -> None:
    program = f"""
import sys
from deepres.cli.main import main
try:
    main({words!r})
except SystemExit:
    pass
slow = sys.modules.keys() & {{"torch", "numpy", "matplotlib", "PIL", "rich"}}
sys.exit(", ".join(slow) or None)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


SLOW = {
    *("matplotlib", "torchvision", "pycocotools", "scipy.io", "onnx", "onnxruntime", "triton"),
    # PyTorch's compiler, which its meta device imports for some operators.
    *("torch._dynamo", "torch._inductor", "sympy"),
}
"""What takes longer to import than a command may be silent, and only some need."""
TRAINING = {"deepres.training.run", "deepres.training.step"}


@pytest.mark.parametrize(
    ("commands", "unwanted"),
    [
        ([["models"], ["models", "resnet50"]], SLOW | TRAINING),
        ([["reproduce", "--list"]], SLOW),
    ],
)
def test_a_list_imports_what_it_needs(commands: list[list[str]], unwanted: set[str]) -> None:
    program = f"""
import sys
from deepres.cli.main import main
if "reproduce" in {commands[0]!r}:
    from deepres.reproduction import cost
    cost.training_rate = lambda kind, computed_in, device: 1e9
for command in {commands!r}:
    main(command)
sys.exit(", ".join(sys.modules.keys() & {unwanted!r}) or None)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_list_of_what_there_is_does_not_wait_for_pytorch(tmp_path: Path) -> None:
    program = f"""
import sys
printed = []
class NotYet:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and not printed:
            sys.exit("torch came before the list")
sys.meta_path.insert(0, NotYet())
from deepres.cli import reproduce_list
from deepres.cli.main import main
show = reproduce_list.show_what_there_is
reproduce_list.show_what_there_is = lambda *given: (show(*given), printed.append(True))
reproduce_list.show_times = lambda *_: None  # PyTorch is needed for it
sys.exit(main(["reproduce", "--list", "--runs", {str(tmp_path)!r}]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, "figure6" in ran.stdout) == (0, True), ran.stderr


def test_no_command_waits_for_what_it_may_not_need() -> None:
    """Matplotlib is imported when something is drawn, detection's packages when detecting."""
    program = f"""
import importlib, pkgutil, sys
import deepres.cli
for module in pkgutil.iter_modules(deepres.cli.__path__, "deepres.cli."):
    importlib.import_module(module.name)
sys.exit(", ".join(sys.modules.keys() & {SLOW!r}) or None)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_package_gives_its_names_when_they_are_used() -> None:
    program = """
import importlib.metadata, sys, deepres
assert "torch" not in sys.modules
assert deepres.__version__ == importlib.metadata.version("deepres")
from deepres import *
for name in deepres.__all__:
    assert name == "__version__" or callable(getattr(deepres, name)), name
    assert name in dir(deepres), name
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_help_says_where_runs_lie() -> None:
    """With the optional parts, which stand in brackets."""
    commands = (train, detect_train, localize_train)
    settings = ["fine-tuned", "<field>=<value>…"]
    for command, parts in ((train, settings), *((each, ["repeated"]) for each in commands)):
        said = option(command, "--out").help.replace("[", "").replace("]", "")
        named = run_name("<network>", 7, 8, 9, parts)
        assert f"runs/{named}" in said.replace("<steps>", "7").replace("<seed>", "9")


def test_weights_by_name_are_offered_with_all_their_sources() -> None:
    from deepres.pretrained import SOURCES

    for command in (train, detect_train, localize_train):
        words = option(command, "--weights").help
        assert f"{', '.join(SOURCES[:-1])} or {SOURCES[-1]}: theirs of this network" in words


def test_what_is_offered_is_what_there_is() -> None:
    from deepres.data.detection.localization_views import LOCALIZATION_VIEWS
    from deepres.data.views import VIEWS
    from deepres.evaluation.scores import VIEWS_AT_ONCE
    from deepres.execution import Execution
    from deepres.models.exchange import SOURCES, TARGETS
    from deepres.models.exchange.preparation import CROP, SHORT_SIDE
    from deepres.pretrained import SOURCES as WEIGHTS_SOURCES
    from deepres.reproduction.measure import RESPONSE_IMAGES
    from deepres.speed.measure import DTYPES
    from deepres.speed.profile import COSTLIEST

    assert option(evaluate, "--views").choices == list(VIEWS)
    assert option(localize_evaluate, "--class-views").choices == list(VIEWS)
    assert option(localize_evaluate, "--views").choices == list(LOCALIZATION_VIEWS)
    assert option(export_weights, "--to").choices == TARGETS
    assert option(evaluate, "--weights").choices == WEIGHTS_SOURCES
    assert option(import_weights, "--from").choices == list(SOURCES)
    assert option(import_weights, "--crop").default == CROP
    assert option(import_weights, "--short-side").default == SHORT_SIDE
    assert option(responses, "--images").default == RESPONSE_IMAGES
    assert option(train, "--save-every").default == Execution(torch.device("cpu")).save_every_s
    assert option(bench, "--precision").choices == ["auto", *DTYPES]
    assert f"{VIEWS_AT_ONCE} for inference" in option(bench, "--batch-size").help
    assert f"the {COSTLIEST} costliest" in option(bench, "--profile").help
