import pytest

from deepres.progress import Progress


def test_plain_lines_when_not_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 5.0, 12.0, 13.0, 40.0])
    monkeypatch.setattr("deepres.progress.time.monotonic", lambda: next(now))
    with Progress("train", total=1_000) as bar:
        bar.update(100)  # at 5 s: too early for a line
        bar.update(250, "error 50 %")  # at 12 s
        bar.update(260)  # at 13 s: too early again
        bar.update(1_000, "done")  # the end is always said
    assert capsys.readouterr().err.splitlines() == [
        "train 250/1,000  ETA 0:00:36  error 50 %",
        "train 1,000/1,000  ETA 0:00:00  done",
    ]


def test_a_bar_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress("train", total=10) as bar:
        bar.update(10, "lr 0.1")
    shown = capsys.readouterr().err
    assert "10/10" in shown
    assert "lr 0.1" in shown
