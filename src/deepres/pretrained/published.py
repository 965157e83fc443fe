"""Others' published weights by name: fetched once, checked, and turned into ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepres.data.download import DownloadError, download
from deepres.errors import UserError
from deepres.files import file_digest
from deepres.models import Classifier
from deepres.models.exchange import import_weights
from deepres.models.exchange.keras_h5 import h5py_package
from deepres.pretrained.catalogue import PUBLISHED, Address
from deepres.pretrained.store import downloads_folder, kept_as_ours


def published_weights(network: str, source: str, say: Callable[[str], None]) -> Path:
    """Return a .safetensors file with the weights that ``source`` has published of a network.

    Args:
        network: e.g. resnet50.
        source: one of ``PUBLISHED``.
        say: is told what is being fetched.

    Raises:
        UserError: ``source`` has none of this network, or they cannot be fetched, or are not what
            they should be.
    """
    known = PUBLISHED[source]
    if network not in known:
        raise UserError(f"{source} has no weights of {network}; it has {', '.join(known)}")
    address = known[network]
    mark = address.digest[:8] or Path(address.file).stem
    return kept_as_ours(
        f"{network}-{source}-{mark}", lambda: _fetched(network, source, address, say)
    )


def _fetched(
    network: str, source: str, address: Address, say: Callable[[str], None]
) -> tuple[Classifier, dict[str, Any]]:
    if address.layout == "keras":
        h5py_package()  # before so much is fetched
    file = downloads_folder() / address.file
    if not file.exists():
        say(f"fetching {address.url} into {file.parent}")
    try:
        download(address.url, file, address.algorithm, address.digest)
    except DownloadError as error:
        raise UserError(
            f"the weights of {network} by {source} cannot be fetched: {error}. Try again later, or "
            f"fetch that file elsewhere and put it there as {file}"
        ) from error
    try:
        classifier = import_weights(file, network, address.layout, pool=address.pool)
    except UserError as error:
        raise UserError(
            f"{error}. If the file is damaged, remove it: it is fetched again"
        ) from error
    checksum = file_digest(file)
    origin = {
        "source": source,
        "layout": address.layout,
        "url": address.url,
        "file": file.name,
        "sha256": checksum,
    }
    return classifier, origin
