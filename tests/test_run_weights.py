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
