import json
from pathlib import Path

import pytest
from made_up_runs import whole_meta

from deepres.errors import UserError
from deepres.kinds import KINDS
from deepres.recipes import CLASSES, get_recipe
from deepres.report.papers_runs import CLASSIFIERS_STEPS
from deepres.report.read_runs import find_runs
from deepres.report.tested import IMAGES
from deepres.run_contents import CONTENTS
from deepres.run_folder import RunFolder, read_meta_file
from deepres.run_weights import weights_file
from deepres.training.api import task_of
from deepres.training.task import Task


def test_each_kind_is_known_everywhere() -> None:
    assert {each.kind for each in CLASSES} == KINDS.keys() == CONTENTS.keys()
    classifiers = {name for name, kind in KINDS.items() if kind.is_classifier}
    assert classifiers == CLASSIFIERS_STEPS.keys() == IMAGES.keys()


@pytest.mark.parametrize("recipe_type", CLASSES)
def test_each_recipe_has_its_task(recipe_type: type) -> None:
    task = task_of(object.__new__(recipe_type))
    assert issubclass(task, Task)
    assert issubclass(recipe_type, task.recipe_type)


def test_a_run_of_another_versions_kind_is_named(tmp_path: Path) -> None:
    meta = whole_meta(get_recipe("resnet20"))
    meta["recipe"]["kind"] = "segmentation"
    file = tmp_path / "run/recipe.json"
    file.parent.mkdir()
    file.write_text(json.dumps(meta))
    told = f"{file} was written by another version of deepres: it is of kind 'segmentation'"
    for read in (lambda: RunFolder(file.parent).read_meta(), lambda: read_meta_file(file)):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value) == told
    with pytest.raises(UserError, match="another version"):  # and not: finish it
        weights_file(file.parent)
    left_out: list[str] = []
    assert find_runs([tmp_path], left_out.append) == []
    assert left_out == [told]
