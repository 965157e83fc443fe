"""The commands in groups, with an example of each: what ``deepres`` alone says."""

import shutil
import textwrap
from collections.abc import Mapping
from functools import partial

from deepres.cli.options import (
    app,
    batchnorm,
    bench,
    compare,
    completion,
    data,
    detect,
    evaluate,
    explain,
    export_weights,
    features,
    import_weights,
    localize,
    models,
    predict,
    report,
    reproduce,
    responses,
    signals,
    train,
)

GROUPS = {
    "train": {
        data: "data cifar10",
        train: "train resnet20 --steps 2000",
        detect: "detect train resnet101 --on voc07+12 --weights resnet101.safetensors",
        localize: "localize train resnet101 --weights resnet101.safetensors",
        batchnorm: "batchnorm runs/demo",
    },
    "test": {
        evaluate: "evaluate runs/demo --views 10-crop",
        compare: "compare runs/demo runs/resnet20-2000steps-s0",
        responses: "responses runs/demo",
        signals: "signals plain56 resnet56",
        bench: "bench resnet20",
    },
    "use": {
        models: "models resnet34",
        predict: "predict resnet20 cat.jpg",
        explain: "explain resnet20 cat.jpg",
        app: "app --open",
        features: "features runs/demo pictures --out features.npz",
        import_weights: "import resnet50 resnet50.pth --from torchvision",
        export_weights: "export runs/demo --to onnx",
        completion: "completion bash",
    },
    "reproduce": {
        reproduce: "reproduce figure1 --steps 300",
        report: "report --open",
    },
}
"""Each command's module of options, and an example, by what one wants to do."""
INDENT = 6 * " "


def overview(summaries: Mapping[str, str]) -> str:
    """Return the groups as lines that fit into the terminal.

    Args:
        summaries: what each command does, in words.
    """
    width = shutil.get_terminal_size().columns
    fill = partial(textwrap.fill, width=width, initial_indent=INDENT, subsequent_indent=INDENT)
    lines = []
    for title, commands in GROUPS.items():
        lines.append(f"{title}:")
        for example in commands.values():
            lines += [f"  deepres {example}", fill(summaries[example.split()[0]])]
        lines.append("")
    return "\n".join(lines)
