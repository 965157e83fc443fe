"""deepres features: a layer's pooled output for each image of a folder."""

import argparse
import json
from functools import partial

from deepres.cli.terminal import say, show
from deepres.cli.training import execution_of
from deepres.data.folder import open_images
from deepres.errors import UserError
from deepres.evaluation.features import pooled_features
from deepres.evaluation.under_test import UnderTest
from deepres.files import check_places
from deepres.models import load_classifier
from deepres.pretrained import find_weights
from deepres.provenance import provenance


def call(options: argparse.Namespace) -> int:
    """Write the file, and name the images that were left out."""
    if options.out.suffix != ".npz":
        raise UserError(f"--out must end in .npz, got {options.out}")
    check_places(options.out)
    execution = execution_of(options).alone()
    weights = find_weights(options.subject, options.source, say)
    load = partial(load_classifier, for_inference=True)
    tested = UnderTest.open(weights, load, execution.device)
    classifier = tested.network
    *_, last, _ = classifier.network.stages
    layer = options.layer or last
    images = open_images(options.folder, say)
    features = pooled_features(
        classifier, images, layer, execution, skip_bad=options.bad_images == "skip"
    )
    for line in features.bad:
        say(f"left out: {line}")
    features.save(
        options.out,
        layer=layer,
        weights=tested.digest,
        provenance=json.dumps(provenance(execution.device)),
    )
    count, channels = features.values.shape
    show(f"{count:,} images, {channels:,} features of {layer} each: {options.out}")
    return 0
