from pathlib import Path

import pytest
from made_up_runs import PROVENANCE, SAMPLE, make_detection_run, make_run

from deepres.report.class_errors import class_errors
from deepres.report.measures import error_by
from deepres.report.read_runs import find_runs
from deepres.report.render import Table
from deepres.report.rows import spread
from deepres.report.tables import released, table2, table3, table4, table5, table6

PAIR = {"processes": 2}
VAL = "50,000 images of val"


def row(table: Table, name: str) -> dict[str, str]:
    """The row called ``name``, by column."""
    (found,) = [cells for cells in table.rows if cells[0] == name]
    return dict(zip(table.columns, found, strict=True))


def evaluation(views: str, top1: float, top5: float, images: int = 50_000) -> dict[str, object]:
    """An evaluation."""
    return {
        **{"views": views, "data": f"{images:,} images of data/imagenet/val", "images": images},
        **{"top1_error_pct": top1, "top5_error_pct": top5},
        "provenance": {**PROVENANCE, "commit": "fedcba"},
    }


def test_table6_without_runs_is_a_table_of_gaps() -> None:
    table = table6([])
    assert row(table, "ResNet-110") == {
        **{"network": "ResNet-110", "layers": "110", "parameters": "1.7 M"},
        **{"published": "6.43 (6.61 ± 0.16)", "ours": "no run yet", "difference": "–"},
        **{"n": "–", "other runs": "–", "provenance": "–"},
    }
    assert row(table, "Highway-19")["published"] == "7.54 (7.72 ± 0.16)"
    assert row(table, "Highway-32")["ours"] == "no run yet"
    published = [cells[0] for cells in table.rows if "published only" in cells]
    assert published == ["Maxout", "NIN", "DSN", "FitNet"]


def test_seeds_give_best_mean_and_sample_deviation(tmp_path: Path) -> None:
    for seed, error in enumerate((6.4, 6.6, 7.0)):
        make_run(tmp_path / str(seed), "resnet110", seed, test_error_pct=error)
    gpu = {"precision": "bf16", "hardware": "NVIDIA H100"}
    make_run(tmp_path / "one", "resnet20", 7, test_error_pct=8.9, provenance=gpu)
    table = table6(find_runs([tmp_path]))
    found = row(table, "ResNet-110")
    assert found["ours"] == "6.40 (6.67 ± 0.31)"
    assert found["difference"] == "+0.06"  # from the published mean, 6.61
    assert found["n"] == "3"
    assert found["provenance"] == "seeds 0, 1, 2; commit abc123; torch 2.15.0; AMD EPYC, 2 threads"
    found = row(table, "ResNet-20")
    assert (found["ours"], found["difference"], found["n"]) == ("8.90", "+0.15", "1")
    assert found["provenance"].endswith("; bf16; NVIDIA H100")


def test_the_deviation_is_that_of_a_sample() -> None:
    assert spread([8.0]) == "8.00"
    assert spread([8.0, 9.0]) == "8.00 (8.50 ± 0.71)"


def test_a_run_of_the_same_seed_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / name, seed=4)
    assert row(table6(find_runs([tmp_path])), "ResNet-20")["n"] == "1"


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ({"steps": 2_000}, "2,000 of 64,000 steps"),
        ({"steps": 2_000, "source": SAMPLE}, "2,000 of 64,000 steps, sample"),
        ({"source": SAMPLE}, "sample"),
        ({"deviations": {"lr": 0.05}}, "learning rate 0.05"),
    ],
)
def test_other_runs_never_stand_in_the_papers_columns(
    tmp_path: Path, what: dict[str, object], label: str
) -> None:
    for seed, error in enumerate((33.3, 35.3)):
        make_run(tmp_path / str(seed), seed=seed, test_error_pct=error, **what)
    table = table6(find_runs([tmp_path]))
    assert row(table, "ResNet-20")["ours"] == "no run yet"
    other = row(table, f"ResNet-20, {label}")
    assert other["other runs"] == "33.30 (34.30 ± 1.41)"
    assert (other["published"], other["ours"], other["difference"]) == ("–", "–", "–")
    assert other["n"] == "2"
    column = list(table.columns).index("other runs")
    for cells in table.rows:
        assert not any("33.3" in cell for i, cell in enumerate(cells) if i != column)


def test_a_run_under_way_says_how_far(tmp_path: Path) -> None:
    make_run(tmp_path / "run", stopped_at=16_000)
    ours = row(table6(find_runs([tmp_path])), "ResNet-20")["ours"]
    assert ours == "under way: 16,000 of 64,000 steps"


def test_imagenet_counts_the_tests_views_and_all_images(tmp_path: Path) -> None:
    tests = [
        *(
            evaluation("1-crop", 29.0, 9.0),
            evaluation("10-crop", 26.0, 8.0),
            evaluation("multi-scale", 23.0, 6.0),
        ),
        evaluation("10-crop", 11.0, 4.0, images=250),
    ]
    make_run(tmp_path / "r", "resnet34", evaluations=tests)
    runs = find_runs([tmp_path])
    found = row(table2(runs), "ResNet, 34 layers")
    assert (found["published"], found["ours"], found["difference"]) == ("25.03", "26.00", "+0.97")
    found = row(table3(runs), "ResNet-34 A")
    assert (found["top-1 ours"], found["top-5 ours"]) == ("26.00", "8.00")
    assert found["top-5 difference"] == "+0.24"
    assert "commit abc123, fedcba" in found["provenance"]  # of training and of the test
    other = row(table3(runs), "ResNet-34 A, 250 images of val")
    assert other["other runs"] == "11.00 / 4.00"
    assert (other["top-1 ours"], other["top-5 ours"]) == ("–", "–")
    assert row(table4(runs), "ResNet-34 B")["top-1 ours"] == "no run yet"


def test_a_network_tested_twice_on_the_same_images_is_one_seed(tmp_path: Path) -> None:
    by_reproduce = evaluation("10-crop", 26.0, 8.0) | {"data": "ImageNet"}
    tests = [by_reproduce, evaluation("10-crop", 25.0, 7.0), evaluation("10-crop", 9.0, 3.0, 250)]
    elsewhere = {"data": "250 images of /mnt/val", "top1_error_pct": 8.0}
    make_run(tmp_path / "r", "resnet34", evaluations=[*tests, tests[-1] | elsewhere])
    table = table3(find_runs([tmp_path]))
    found = row(table, "ResNet-34 A")
    assert (found["n"], found["top-1 ours"]) == ("1", "25.00")
    other = row(table, "ResNet-34 A, 250 images of val")
    assert (other["n"], other["other runs"]) == ("1", "8.00 / 3.00")


def test_other_images_of_the_same_number_are_not_the_benchmark(tmp_path: Path) -> None:
    tests = [
        evaluation("10-crop", error, error / 4)
        | {"data": f"50,000 images of {folder}", "fingerprint": fp}
        for error, folder, fp in (
            *((26.0, "/data/imagenet", "f00"), (80.0, "fog/5", "a" * 16)),
            (70.0, "snow/5", "b" * 16),
        )
    ]
    make_run(tmp_path / "r", "resnet34", test_fingerprint="f00", evaluations=tests)
    table = table2(find_runs([tmp_path]))
    assert row(table, "ResNet, 34 layers")["ours"] == "26.00"
    others = [
        row(table, f"ResNet, 34 layers, 50,000 images of 5 ({fp * 8})")["other runs"] for fp in "ab"
    ]
    assert others == ["80.00", "70.00"]


def test_seeds_share_a_row_whatever_a_test_calls_their_data(tmp_path: Path) -> None:
    tiny = "tiny (200 classes)"
    for seed, data in enumerate((tiny, "10,000 images of /data/tiny")):
        tests = [evaluation("10-crop", 45.0, 20.0, 10_000) | {"data": data, "fingerprint": "f00"}]
        own = {"source": tiny, "test_fingerprint": "f00"}
        make_run(tmp_path / str(seed), "resnet34", seed, evaluations=tests, **own)
    label = f"ResNet, 34 layers, {tiny}, 10,000 images of {tiny}"
    assert row(table2(find_runs([tmp_path])), label)["n"] == "2"


def test_a_test_with_images_left_out_says_how_many(tmp_path: Path) -> None:
    tests = [evaluation("10-crop", 26.0, 8.0) | {"images": 49_998}]
    make_run(tmp_path / "r", "resnet34", evaluations=tests)
    label = "ResNet, 34 layers, 49,998 of 50,000 images of val"
    assert row(table2(find_runs([tmp_path])), label)["other runs"] == "26.00"


def test_options_have_rows_of_their_own(tmp_path: Path) -> None:
    for option in "BC":
        tests = [evaluation("10-crop", {"B": 24.0, "C": 23.0}[option], 7.0)]
        deviations = {"shortcut": option}
        make_run(tmp_path / option, "resnet34", deviations=deviations, evaluations=tests)
    table = table3(find_runs([tmp_path]))
    ours = [row(table, f"ResNet-34 {option}")["top-1 ours"] for option in "ABC"]
    assert ours == ["no run yet", "24.00", "23.00"]


def test_a_trained_network_without_its_test_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "r", "plain34")
    ours = row(table3(find_runs([tmp_path])), "plain-34")["top-1 ours"]
    assert ours == "trained, 10-crop test missing"


def test_published_numbers_keep_the_papers_digits() -> None:
    assert row(table4([]), "VGG (v5)")["top-1 published"] == "24.4"
    assert row(table4([]), "VGG (ILSVRC'14), test images")["top-5 published"] == "8.43"
    assert row(table4([]), "GoogLeNet (ILSVRC'14)")["top-5 published"] == "7.89"
    vgg = row(released([]), "VGG-16, its authors'")
    assert (vgg["top-1 published"], vgg["top-5 published"]) == ("28.5", "9.9")
    assert vgg["top-1 ours"] == "published only"
    assert row(table4([]), "ResNet-101")["top-5 published"] == "4.60"
    assert row(table3([]), "GoogLeNet")["top-1 published"] == "–"


def test_released_models_stand_beside_ours_by_one_crop(tmp_path: Path) -> None:
    tests = [evaluation("1-crop", 24.9, 7.9), evaluation("10-crop", 22.9, 6.8)]
    make_run(tmp_path / "r", "resnet50", evaluations=tests)
    found = row(released(find_runs([tmp_path])), "ResNet-50")
    assert (found["top-1 ours"], found["top-5 difference"]) == ("24.90", "+0.10")


def test_runs_whose_bn_saw_other_numbers_of_images_are_not_pooled(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0, test_error_pct=8.9)
    for seed, error in ((0, 8.5), (1, 8.7)):
        make_run(tmp_path / f"{seed}", "resnet20", seed, test_error_pct=error, provenance=PAIR)
    table = table6(find_runs([tmp_path]))
    found = row(table, "ResNet-20")
    assert (found["ours"], found["n"]) == ("8.50 (8.60 ± 0.14)", "2")  # of most seeds
    other = row(table, "ResNet-20, BN over 128 images")
    assert (other["other runs"], other["n"]) == ("8.90", "1")
    for seed, processes in ((0, 1), (0, 2)):
        where = {"provenance": {"processes": processes}, "steps": 300}
        make_run(tmp_path / f"short{processes}", "resnet20", seed, **where)
    table = table6(find_runs([tmp_path]))
    for images in (64, 128):
        label = f"ResNet-20, 300 of 64,000 steps, BN over {images} images"
        assert row(table, label)["n"] == "1"


def test_two_data_sets_of_one_name_have_rows_of_their_own(tmp_path: Path) -> None:
    flowers = "flowers (5 classes)"
    for fingerprint, error in (("a" * 16, 20.0), ("b" * 16, 30.0)):
        tests = [evaluation("10-crop", error, 5.0, images=500)]
        data = {"source": flowers, "fingerprint": fingerprint}
        make_run(tmp_path / fingerprint, "resnet34", evaluations=tests, **data)
    table = table2(find_runs([tmp_path]))
    for digits, error in (("aaaaaaaa", "20.00"), ("bbbbbbbb", "30.00")):
        label = f"ResNet, 34 layers, {flowers}, data {digits}, 500 images of val"
        assert row(table, label)["other runs"] == error


SIX = (
    *(("resnet34", "B", 0), ("resnet34", "C", 0), ("resnet50", None, 0), ("resnet101", None, 0)),
    *(("resnet152", None, 0), ("resnet152", None, 1)),
)


def make_ensemble(
    folder: Path,
    tests: list[dict[str, object]],
    members: tuple[tuple[str, str | None, int], ...] = SIX,
) -> None:
    """Make the runs of some networks, by shortcut and seed, and tests of all of them together."""
    names = [str(i) for i in range(len(members))]
    for name, (model, shortcut, seed) in zip(names, members, strict=True):
        together = [test | {"members": names} for test in tests] if name == "0" else []
        how = {"deviations": {"shortcut": shortcut}} if shortcut else {}
        make_run(folder / name, model, seed, **how, evaluations=together)


def test_ensembles_on_val_are_not_the_papers(tmp_path: Path) -> None:
    make_ensemble(tmp_path, [evaluation("multi-scale", 20.0, 4.4)])
    table = table5(find_runs([tmp_path]))
    assert row(table, "ResNet (ILSVRC'15)")["ours"] == "no run yet"
    label = f"ResNet (ILSVRC'15), 6 networks, multi-scale, {VAL}"
    assert row(table, label)["other runs"] == "4.40"


def test_the_papers_ensemble_is_of_six_networks_on_the_test_images(tmp_path: Path) -> None:
    make_ensemble(tmp_path, [evaluation("multi-scale", 20.0, 3.9, images=100_000)])
    runs = find_runs([tmp_path])
    found = row(table5(runs), "ResNet (ILSVRC'15)")
    assert (found["ours"], found["difference"]) == ("3.90", "+0.33")
    unknown = row(table5(runs[:-1]), "ResNet (ILSVRC'15)")  # whose last member may be any
    assert unknown["ours"] == "no run yet"


@pytest.mark.parametrize(
    ("views", "members", "label"),
    [
        ("10-crop", SIX, "6 networks, 10-crop"),
        ("multi-scale", SIX[:2], "0 + 1, multi-scale"),
        ("multi-scale", (*SIX[:-1], SIX[-2]), "0 + 1 + 2 + 3 + 4 + 5, multi-scale"),  # a seed twice
        ("multi-scale", (*SIX[1:], ("resnet34", None, 0)), "0 + 1 + 2 + 3 + 4 + 5, multi-scale"),
    ],
)
def test_other_ensembles_are_not_the_papers(
    tmp_path: Path, views: str, members: tuple[tuple[str, str | None, int], ...], label: str
) -> None:
    make_ensemble(tmp_path, [evaluation(views, 20.0, 3.9, images=100_000)], members)
    table = table5(find_runs([tmp_path]))
    assert row(table, "ResNet (ILSVRC'15)")["ours"] == "no run yet"
    other = row(table, f"ResNet (ILSVRC'15), {label}, 100,000 images of val")
    assert other["other runs"] == "3.90"


def test_a_member_is_no_run_of_its_name_in_another_folder(tmp_path: Path) -> None:
    make_ensemble(tmp_path / "here", [evaluation("multi-scale", 20.0, 3.9, images=100_000)])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here/5").rename(tmp_path / "elsewhere/5")
    runs = find_runs([tmp_path / "here", tmp_path / "elsewhere"])
    assert len(runs) == 6
    assert row(table5(runs), "ResNet (ILSVRC'15)")["ours"] == "no run yet"


def test_an_ensembles_errors_are_not_its_first_members(tmp_path: Path) -> None:
    together = evaluation("10-crop", 20.0, 4.4) | {"members": ["a", "b"]}
    together["class_errors_pct"] = {"cat": 20.0}
    run = make_run(tmp_path / "a", "resnet50", evaluations=[together])
    assert row(table3([run]), "ResNet-50")["top-1 ours"] == "trained, 10-crop test missing"
    assert error_by(run, "10-crop", "top1_error_pct") is None
    assert class_errors(run) is None


def test_detectors_are_no_classifiers(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "a", "resnet101")
    make_detection_run(tmp_path / "b", "resnet20", "folder", source="BCCD trainval")
    runs = find_runs([tmp_path])
    for table in (table2, table3, table4, table5, table6):
        assert table(runs) == table([])


def test_a_long_condition_stands_in_a_note_once(tmp_path: Path) -> None:
    fields = {"batch_size": 128, "lr": 0.02, "short_side": [64, 120], "crop": 56, "flip": False}
    fields["log_every"] = 35  # sets no run apart
    for folder, error, more in [
        ("a", 57, {}),
        ("b", 58, {"shortcut": "B"}),
        ("c", 59, {"lr": 0.05}),
    ]:
        tests = [evaluation("10-crop", error, 40.0)]
        make_run(tmp_path / folder, "resnet34", deviations=fields | more, evaluations=tests)
    table = table3(find_runs([tmp_path]))
    assert row(table, "ResNet-34 A, recipe 1")["other runs"] == "57.00 / 40.00"
    assert row(table, "ResNet-34 A, recipe 2")["other runs"] == "59.00 / 40.00"
    assert row(table, "ResNet-34 B, recipe 1")["other runs"] == "58.00 / 40.00"
    crops = "shorter side 64 to 120, crops of 56, flip=false"
    notes = [
        f"Recipe {number}: batches of 128, learning rate {lr}, {crops}."
        for number, lr in [(1, 0.02), (2, 0.05)]
    ]
    assert list(table.notes[-2:]) == notes
    for folder, lr in [("d", 0.02), ("e", 0.05)]:  # another table, in small
        some, steps = fields | {"lr": lr}, 2_000 if folder == "d" else None
        make_run(tmp_path / folder, "resnet20", deviations=some, steps=steps)
    table = table6(find_runs([tmp_path]))
    assert row(table, "ResNet-20, 2,000 of 64,000 steps, recipe 1")
    assert row(table, "ResNet-20, recipe 2")
    assert list(table.notes[-2:]) == notes
    assert row(table6(find_runs([tmp_path])[-1:]), "ResNet-20, recipe 1")
