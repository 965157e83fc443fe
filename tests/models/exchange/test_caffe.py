"""Caffe's files, written and read by Google's protobuf on the other side."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepres.errors import UserError
from deepres.models.exchange.caffe import (
    Layer,
    encode_mean,
    encode_net,
    read_binaryproto,
    read_caffemodel,
)

GENERATOR = np.random.default_rng(0)
WEIGHT = GENERATOR.standard_normal((5, 3, 2, 2), np.float32)
BIAS = GENERATOR.standard_normal(5, np.float32)


def write(path: Path, message) -> Path:
    path.write_bytes(message.SerializeToString())
    return path


def add_blob(blobs, array: np.ndarray, *, legacy: bool = False, doubles: bool = False) -> None:
    blob = blobs.add()
    if legacy:
        shape = (1,) * (4 - array.ndim) + array.shape
        blob.num, blob.channels, blob.height, blob.width = shape
    else:
        blob.shape.dim.extend(array.shape)
    (blob.double_data if doubles else blob.data).extend(array.ravel().tolist())


@pytest.mark.parametrize("doubles", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["caffe", "unpacked_caffe"])
def test_every_way_to_write_a_blob_is_read(
    kind: str, legacy: bool, doubles: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    net = request.getfixturevalue(kind).NetParameter(name="n", input=["data"], input_dim=[1, 3])
    net.layer.add(name="data", type="Input", loss_weight=[1, 0.5], phase=1)
    layer = net.layer.add(name="conv", type="Convolution", bottom=["data"], top=["conv"])
    layer.convolution_param.kernel_size.append(2)
    for array in (WEIGHT, BIAS):
        add_blob(layer.blobs, array, legacy=legacy, doubles=doubles)
    old = net.layers.add(name="fc", type=14, bottom=["conv"], blobs_lr=[1, 2])
    add_blob(old.blobs, BIAS, legacy=legacy, doubles=doubles)
    read = read_caffemodel(write(tmp_path / "a.caffemodel", net))
    assert read.keys() == {"conv", "fc"}  # layers without blobs are left out
    assert read["conv"].type == "Convolution"
    weight, bias = read["conv"].blobs
    assert weight.dtype == bias.dtype == np.float32
    np.testing.assert_array_equal(weight, WEIGHT)
    np.testing.assert_array_equal(bias, BIAS.reshape(1, 1, 1, 5) if legacy else BIAS)
    np.testing.assert_array_equal(read["fc"].blobs[0].ravel(), BIAS)


def test_what_we_write_is_read_by_google(caffe: SimpleNamespace, tmp_path: Path) -> None:
    content = encode_net("small", {"conv": Layer("Convolution", [WEIGHT, BIAS])})
    net = caffe.NetParameter.FromString(content)
    assert net.name == "small"
    (layer,) = net.layer
    assert (layer.name, layer.type) == ("conv", "Convolution")
    for blob, array in zip(layer.blobs, (WEIGHT, BIAS), strict=True):
        assert tuple(blob.shape.dim) == array.shape
        np.testing.assert_array_equal(np.array(blob.data, np.float32), array.ravel())
    assert net.SerializeToString(deterministic=True) == content  # no field is unknown to it
    (tmp_path / "a.caffemodel").write_bytes(content)
    (ours,) = read_caffemodel(tmp_path / "a.caffemodel").values()
    np.testing.assert_array_equal(ours.blobs[0], WEIGHT)


def test_means_go_both_ways(caffe: SimpleNamespace, tmp_path: Path) -> None:
    mean = GENERATOR.random((3, 4, 5), np.float32)
    content = encode_mean(mean)
    blob = caffe.BlobProto.FromString(content)
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 3, 4, 5)
    np.testing.assert_array_equal(np.array(blob.data, np.float32), mean.ravel())
    (tmp_path / "mean.binaryproto").write_bytes(content)
    np.testing.assert_array_equal(read_binaryproto(tmp_path / "mean.binaryproto")[0], mean)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    content = encode_net("n", {"fc": Layer("InnerProduct", [BIAS])})
    for length in range(len(content)):
        (tmp_path / "cut.caffemodel").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut.caffemodel (is damaged|holds no layer)"):
            read_caffemodel(tmp_path / "cut.caffemodel")


def test_what_is_no_caffemodel_is_named(caffe: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "a.caffemodel"
    with pytest.raises(UserError, match=r"cannot read .*a.caffemodel: No such file"):
        read_caffemodel(file)
    for content in (b"layer { name: 'conv1' }", b"\x80\x02}q\x00", b"PK\x03\x04rest"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"a.caffemodel is damaged or no \.caffemodel"):
            read_caffemodel(file)
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"a.caffemodel holds no layer with weights"):
        read_caffemodel(file)
    blob = caffe.BlobProto(data=[1, 2, 3])
    blob.shape.dim.extend([2, 2])
    with pytest.raises(UserError, match=r"no \.binaryproto: .* shape \(2, 2\) has 3 numbers"):
        read_binaryproto(write(file, blob))
