"""The Dockerfile, as far as it can be checked without Docker."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_it_copies_what_there_is_and_what_docker_is_sent() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    sent = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sent) == sorted(copied)
    assert PROJECT["readme"] in copied  # else the package cannot be built


def test_what_it_installs_first_is_what_the_package_asks_for() -> None:
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["detection"]]
    first = re.findall(r'"(torch\S*>=[\d.]+)"', DOCKERFILE)
    assert len(first) == 2
    assert set(first) <= set(asked)
    (python,) = re.findall(r"^FROM python:3\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)
    lowest, beyond = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert int(lowest) <= int(python) < int(beyond)
