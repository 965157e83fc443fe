"""What earlier versions spelled otherwise on the command line: for one release it is understood.

Each is said in a line that names today's word. With the next release this file goes.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from deepres.renamed import FIELDS, VALUES
from deepres.torchrun import is_leader
from deepres.visible import in_a_line

Words = list[str]

RENAMED: Mapping[str, Mapping[str, str]] = {
    "bench": {"--batch": "--batch-size"},
    "data cifar10": {"--dir": "--data"},
    "data imagenet prepare": {"--dir": "--data"},
    "data imagenet verify": {"--dir": "--data"},
    "detect evaluate": {"--save-results": "--save-submission"},
    "evaluate": {"--picture": "--out", "--submission": "--save-submission"},
    "import": {"--classes": "--class-names"},
    "train": {"--no-graph": "--no-fused-kernels"},
}
"""By command."""


def as_spelled_now(arguments: Sequence[str]) -> Words:
    """Return a command line in today's words, and say on standard error what was replaced."""
    start = next((i for i, word in enumerate(arguments) if not word.startswith("-")), 0)
    words, rest = [*arguments], list[str]()
    if "--" in words:
        words, rest = words[: (end := words.index("--"))], words[end:]
    for length in (3, 2, 1):
        command = " ".join(words[start : start + length])
        if command in RENAMED or command in MOVED:
            first = start + length
            own = [_renamed(word, RENAMED.get(command, {})) for word in words[first:]]
            words[first:] = MOVED[command](own) if command in MOVED else own
            break
    return [*_settings(words), *rest]


def _tell(before: str, now: str) -> None:
    if is_leader():
        line = f"deepres: {before} is {now} now; the next release will not know the old spelling"
        print(in_a_line(line), file=sys.stderr)


def _renamed(word: str, names: Mapping[str, str]) -> str:
    name, equals, value = word.partition("=")
    if name not in names:
        return word
    _tell(name, names[name])
    return f"{names[name]}{equals}{value}"


def _settings(words: Words) -> Words:
    """Replace what the fields of a recipe and their values were called."""
    found = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, inside = word.partition("=")
        if before in ("--set", "--bad-boxes"):
            found.append(_setting(before, word))
        elif equals and option in ("--set", "--bad-boxes"):
            found.append(f"{option}={_setting(option, inside)}")
        else:
            found.append(word)
    return found


def _setting(option: str, text: str) -> str:
    name, value = text.split("=", 1) if "=" in text else ("", text)
    field = FIELDS.get(name, name) or option.removeprefix("--").replace("-", "_")
    today = VALUES.get(field, {}).get(value, value)
    now = f"{field}={today}" if name else today
    if now != text:
        _tell(f"{option} {text}", f"{option} {now}")
    return now


def _import(words: Words) -> Words:
    """``import FILE --model NETWORK``: the network came last."""
    network, others = _taken("--model", words)
    if network is None:
        return words
    _tell(f"--model {network}", f"the first word, import {network} FILE,")
    return [network, *others]


def _export(words: Words) -> Words:
    """``export WEIGHTS --to PROGRAM OUT``, ``export --to PROGRAM WEIGHTS OUT``."""
    program, others = _taken("--to", words)
    named = [
        i
        for i, (before, word) in enumerate(zip(["", *others], others, strict=False))
        if not word.startswith("-") and before not in ("--weights", "--out")
    ]
    if program is None or len(named) != 2:
        return words
    out = others.pop(named[1])
    _tell(f"--to {program} {out}", f"--to {program} --out {out}")
    return [*others, "--to", program, "--out", out]


def _bench(words: Words) -> Words:
    """``bench resnet20 --json FILE``."""
    file, others = _taken("--json", words)
    if file is None or not {".", "/"} & {*file}:  # a network comes after the switch of today
        return words
    _tell(f"--json {file}", f"--out {file}")
    return [*others, "--out", file]


def _data_cifar10(words: Words) -> Words:
    """``data cifar10 --verify``."""
    if "--verify" not in words:
        return words
    _tell("data cifar10 --verify", "data cifar10 verify")
    return ["verify", *(word for word in words if word != "--verify")]


MOVED: Mapping[str, Callable[[Words], Words]] = {
    "bench": _bench,
    "data cifar10": _data_cifar10,
    "export": _export,
    "import": _import,
}
"""What is more than another word for an option, by command."""


def _taken(option: str, words: Words) -> tuple[str | None, Words]:
    """Return an option's value, and the words without both; None: it is not given."""
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == option and equals:
            return value, words[:i] + words[i + 1 :]
        following = words[i + 1 : i + 2]
        if word == option and following and not following[0].startswith("-"):
            return following[0], words[:i] + words[i + 2 :]
    return None, words
