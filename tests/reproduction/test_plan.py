from pathlib import Path

import pytest
from made_up_runs import PROVENANCE, whole_meta

from deepres.errors import UserError
from deepres.recipes import get_recipe
from deepres.reproduction.artefacts import ARTEFACTS, Artefact, Study, find_artefacts
from deepres.reproduction.plan import plan
from deepres.run_folder import RunFolder

FIGURE1 = find_artefacts(["figure1"])


def test_every_study_can_be_planned(tmp_path: Path) -> None:
    runs = plan(ARTEFACTS, tmp_path)
    assert len({run.folder for run in runs}) == len(runs)
    assert {run.state() for run in runs} == {"missing"}
    assert sum("resnet152" in run.folder.name for run in runs) == 2  # Table 5 has two


@pytest.mark.parametrize(
    ("options", "steps", "folders"),
    [
        ({}, 64_000, ["plain20-s0", "plain56-s0"]),
        ({"steps": 300}, 300, ["plain20-300steps-s0", "plain56-300steps-s0"]),
        ({"scale": 0.02}, 1280, ["plain20-1280steps-s0", "plain56-1280steps-s0"]),
        ({"scale": 1.0}, 64_000, ["plain20-s0", "plain56-s0"]),
        (
            {"steps": 9, "seeds": 2},
            9,
            [f"plain{depth}-9steps-s{seed}" for depth in (20, 56) for seed in (0, 1)],
        ),
        (
            {"steps": 9, "settings": ["pad=2", "precision=bf16"]},
            9,
            ["plain20-pad=2-9steps-s0", "plain56-pad=2-9steps-s0"],
        ),
    ],
)
def test_lengths_and_seeds(tmp_path: Path, options: dict, steps: int, folders: list[str]) -> None:
    runs = plan(FIGURE1, tmp_path, **options)
    assert [run.folder for run in runs] == [tmp_path / name for name in folders]
    assert {run.recipe.steps for run in runs} == {steps}
    assert {run.recipe.scaled_from for run in runs} == {None if steps == 64_000 else 64_000}


def test_a_run_that_two_artefacts_need_is_made_once_and_measured_for_both(tmp_path: Path) -> None:
    artefacts = [
        Artefact("a", "", (Study("resnet34", ("shortcut=B",), "10-crop"), Study("resnet18"))),
        Artefact("b", "", (Study("resnet34", ("shortcut=B",), "multi-scale", responses=True),)),
    ]
    deep, shallow = plan(artefacts, tmp_path)
    assert deep.folder.name == "resnet34-shortcut=B-s0"
    assert deep.recipe.model_options()["shortcut"] == "B"
    assert (deep.views, deep.responses) == ({"10-crop", "multi-scale"}, True)
    assert (shallow.views, shallow.responses) == (frozenset(), False)


def test_settings_are_those_of_every_run(tmp_path: Path) -> None:
    settings = ["crop=56", "short_side=64,120", "precision=bf16"]
    runs = plan(find_artefacts(["table3"]), tmp_path, settings=settings)
    assert {run.recipe.crop for run in runs} == {56}
    assert {run.recipe.short_side for run in runs} == {(64, 120)}
    assert {run.recipe.precision for run in runs} == {"bf16"}
    assert {run.recipe.model_options().get("shortcut") for run in runs} > {"B", "C"}
    names = [run.folder.name for run in runs if run.recipe.model == "resnet34"]
    named = "crop=56-short_side=64,120-s0"
    assert names == [f"resnet34-{option}{named}" for option in ("", "shortcut=B-", "shortcut=C-")]


def test_how_far_a_run_has_come(tmp_path: Path) -> None:
    (run, _) = plan(FIGURE1, tmp_path, steps=40)
    folder = RunFolder(run.folder)
    folder.path.mkdir()
    folder.write_meta(whole_meta(run.recipe))
    folder.append_event({"step": 7, "split": "train"})
    assert (run.state(), run.steps_done()) == ("cut off", 7)
    numbers = {"test_error_pct": 50.0, "train_error_pct": 50.0, "training_s": 1.0}
    folder.write_result({"steps": 40, "provenance": PROVENANCE, **numbers})
    assert run.state() == "finished"


@pytest.mark.parametrize(
    ("change", "seed", "named"), [(["lr=0.05"], 0, "lr 0.05"), ([], 3, "seed 3")]
)
def test_another_run_in_its_place_is_named(
    tmp_path: Path, change: list[str], seed: int, named: str
) -> None:
    recipe = get_recipe("plain20").changed(change)
    folder = RunFolder(tmp_path / "plain20-s0")
    folder.path.mkdir()
    folder.write_meta(whole_meta(recipe, seed=seed))
    (run, _) = plan(FIGURE1, tmp_path)
    with pytest.raises(UserError, match=rf"plain20-s0 holds a run with {named}, but .* --runs"):
        run.state()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "--seeds must be at least 1, got 0"),
        ({"scale": 1.5}, "--scale must be above 0 and at most 1, got 1.5"),
        ({"steps": 0}, "a run has 1 step or more, got 0"),
        ({"settings": ["crop=56"]}, "plain20: unknown recipe field 'crop'"),
    ],
)
def test_mistakes(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(FIGURE1, tmp_path, **options)


def test_artefacts_by_pattern() -> None:
    assert [a.name for a in find_artefacts(["figure?", "table6"])] == [
        *("table6", "figure1", "figure3", "figure4", "figure5", "figure6", "figure7")
    ]
    with pytest.raises(UserError, match="unknown table or figure 'tabel6'; did you mean table6"):
        find_artefacts(["figure1", "tabel6"])


def test_artefacts_have_the_papers_names() -> None:
    titles = {artefact.name: artefact.title for artefact in ARTEFACTS}
    assert (titles["table6"], titles["table13"]) == ("Table 6", "Table 13")
