"""Caffe's files: a .caffemodel (the layers' blobs, by name) and a .binaryproto (one blob).

Field numbers are those of caffe.proto. Only what holds weights is read; a layer's settings are not
needed, since the network is known by its name. Layers of the older format (V1) are read too.
"""

import math
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepres.errors import UserError
from deepres.files import read_file
from deepres.models.exchange.protobuf import (
    Malformed,
    bytes_field,
    integer_field,
    read_fields,
    read_varints,
    varint,
)

Blob: TypeAlias = NDArray[np.float32]

NET_NAME, NET_LAYERS_V1, NET_LAYERS = 1, 2, 100
LAYER_NAME, LAYER_TYPE, LAYER_BLOBS = 1, 2, 7
V1_NAME, V1_BLOBS = 4, 6
BLOB_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
BLOB_DATA, BLOB_SHAPE, BLOB_DOUBLES = 5, 7, 8
SHAPE_DIMS = 1


class Layer(NamedTuple):
    """A layer with weights; the older format names types by numbers, which are left out."""

    type: str
    blobs: list[Blob]


def read_caffemodel(file: Path) -> dict[str, Layer]:
    """Return the layers of a .caffemodel that have blobs, by name.

    Raises:
        UserError: the file is missing, cut, or of another kind.
    """
    try:
        layers = parse_net(memoryview(read_file(file)))
    except Malformed as error:
        raise UserError(f"{file} is damaged or no .caffemodel: {error}") from error
    if not layers:
        raise UserError(
            f"{file} holds no layer with weights; give a .caffemodel, not a .prototxt or a mean"
        )
    return layers


def read_binaryproto(file: Path) -> Blob:
    """Return the blob of a .binaryproto, float32 in its own shape.

    Raises:
        UserError: the file is missing, cut, or of another kind.
    """
    try:
        return _parse_blob(memoryview(read_file(file)))
    except Malformed as error:
        raise UserError(f"{file} is damaged or no .binaryproto: {error}") from error


def parse_net(message: memoryview) -> dict[str, Layer]:
    """Return the layers of a NetParameter that have blobs, by name.

    Raises:
        Malformed: these bytes are not a whole NetParameter.
    """
    layers = {}
    for number, value in read_fields(message):
        if number == NET_LAYERS:
            name, layer = _parse_layer(_bytes(value), LAYER_NAME, LAYER_TYPE, LAYER_BLOBS)
        elif number == NET_LAYERS_V1:
            name, layer = _parse_layer(_bytes(value), V1_NAME, None, V1_BLOBS)
        else:
            continue
        if layer.blobs:
            layers[name] = layer
    return layers


def encode_net(name: str, layers: dict[str, Layer]) -> bytes:
    """Encode layers as a NetParameter, the content of a .caffemodel."""
    encoded = [bytes_field(NET_NAME, name.encode())]
    for layer_name, layer in layers.items():
        described = bytes_field(LAYER_NAME, layer_name.encode())
        described += bytes_field(LAYER_TYPE, layer.type.encode())
        blobs = (bytes_field(LAYER_BLOBS, _encode_blob(blob)) for blob in layer.blobs)
        encoded.append(bytes_field(NET_LAYERS, described + b"".join(blobs)))
    return b"".join(encoded)


def encode_mean(mean: Blob) -> bytes:
    """Encode a mean image (C, H, W) as a BlobProto, the content of a .binaryproto.

    Its shape is written in the older way, as Caffe's own tool for means does.
    """
    dims = zip(BLOB_LEGACY_SHAPE, (1, *mean.shape), strict=True)
    shape = b"".join(integer_field(number, dim) for number, dim in dims)
    return shape + bytes_field(BLOB_DATA, mean.astype("<f4").tobytes())


def _parse_layer(
    message: memoryview, name_field: int, type_field: int | None, blobs_field: int
) -> tuple[str, Layer]:
    name, kind, blobs = "", "", []
    for number, value in read_fields(message):
        if number == name_field:
            name = _text(value)
        elif number == type_field:
            kind = _text(value)
        elif number == blobs_field:
            blobs.append(_parse_blob(_bytes(value)))
    return name, Layer(kind, blobs)


def _parse_blob(message: memoryview) -> Blob:
    """Read a BlobProto; where it has doubles, they are what counts, as in Caffe."""
    legacy: dict[int, int] = {}
    shape: tuple[int, ...] | None = None
    floats, doubles = [], []
    for number, value in read_fields(message):
        if number in BLOB_LEGACY_SHAPE:
            legacy[number] = _integer(value)
        elif number == BLOB_SHAPE:
            shape = _parse_shape(_bytes(value))
        elif number == BLOB_DATA:
            floats.append(_numbers(value, "<f4"))
        elif number == BLOB_DOUBLES:
            doubles.append(_numbers(value, "<f8"))
    if legacy:
        shape = tuple(legacy.get(number, 0) for number in BLOB_LEGACY_SHAPE)
    parts = doubles or floats
    data = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    if shape is None or len(data) == 0 or math.prod(shape) != len(data):
        raise Malformed(f"a blob of shape {shape} has {len(data)} numbers")
    return data.reshape(shape)


def _parse_shape(message: memoryview) -> tuple[int, ...]:
    dims: list[int] = []
    for number, value in read_fields(message):
        if number == SHAPE_DIMS:
            dims += [value] if isinstance(value, int) else read_varints(value)
    return tuple(dims)


def _encode_blob(blob: Blob) -> bytes:
    dims = bytes_field(SHAPE_DIMS, b"".join(map(varint, blob.shape)))
    return bytes_field(BLOB_DATA, blob.astype("<f4").tobytes()) + bytes_field(BLOB_SHAPE, dims)


def _numbers(value: int | memoryview, dtype: str) -> NDArray[np.floating]:
    message = _bytes(value)
    if len(message) % np.dtype(dtype).itemsize:
        raise Malformed(f"{len(message)} bytes are no whole number of floats")
    return np.frombuffer(message, dtype)


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise Malformed("an integer where bytes are expected")
    return value


def _integer(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise Malformed("bytes where an integer is expected")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a name is no text") from error
