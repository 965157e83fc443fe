from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from deepres.errors import UserError
from deepres.models.exchange.caffe import encode_mean
from deepres.models.exchange.preparation import class_names, read_mean


def test_imagenets_classes_have_torchvisions_names() -> None:
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    assert list(class_names(1000, None)) == weights.meta["categories"]


def test_other_classes_are_numbers() -> None:
    assert class_names(3, None) == ("0", "1", "2")


def test_classes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("cat\nhot dog\nœuf\n", "utf-8")
    assert class_names(3, file) == ("cat", "hot dog", "œuf")
    with pytest.raises(UserError, match="must name 4 classes, one a line; it has 3"):
        class_names(4, file)
    file.write_text("cat\n\ndog\n")
    for count in (2, 3):  # which label would the line after the blank one have?
        with pytest.raises(UserError, match=f"must name {count} classes, .*; line 2 is blank"):
            class_names(count, file)
    file.write_bytes("cat\nœuf\n".encode("cp1252", "replace"))
    with pytest.raises(UserError, match=r"classes\.txt, line 2 is not UTF-8"):
        class_names(2, file)
    file.write_bytes("\ufeffcat\r\nœuf\r\n\r\n".encode("utf-16"))
    assert class_names(2, file) == ("cat", "œuf")


def test_a_mean_becomes_rgb_in_0_to_1(tmp_path: Path) -> None:
    bgr = np.stack([np.full((2, 4), value, np.float32) for value in (51, 102, 204)])
    (tmp_path / "mean").write_bytes(encode_mean(bgr))
    mean = read_mean(tmp_path / "mean")
    assert mean.shape == (3, 2, 4)
    torch.testing.assert_close(mean[:, 1, 2], torch.tensor([0.8, 0.4, 0.2]))
    (tmp_path / "mean").write_bytes(encode_mean(bgr[:2]))
    with pytest.raises(UserError, match=r"has the shape \(1, 2, 2, 4\), expected a mean image"):
        read_mean(tmp_path / "mean")
