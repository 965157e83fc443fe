from pathlib import Path

from deepres.run_weights import WEIGHTS, called_together


def test_members_of_an_ensemble_are_told_apart_without_whole_paths(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("here/a", "here/b", "there/a", "elsewhere/b")]
    for run in runs:
        run.mkdir(parents=True)
        (run / WEIGHTS).touch()
    other = runs[2] / "other.safetensors"
    other.touch()
    assert called_together([*runs, other]) == [
        *("a", "b", "there/a", "elsewhere/b", "a/other.safetensors"),
    ]


def test_members_whose_last_folders_have_one_name_are_told_apart_by_more(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("x/a/run", "y/a/run", "z/y/a/run", "x/a/second", "w/b")]
    for run in runs:
        run.mkdir(parents=True)
        (run / WEIGHTS).touch()
        (run / "other.safetensors").touch()
    names = ["run", f"{tmp_path.name}/y/a/run", "z/y/a/run", "second", "w/b"]
    assert called_together([*runs, runs[1]]) == [*names, names[1]]
    files = [run / "other.safetensors" for run in runs[:2]]
    assert called_together(files) == ["x/a/run/other.safetensors", "y/a/run/other.safetensors"]
    assert called_together(files[:1]) == ["run/other.safetensors"]
