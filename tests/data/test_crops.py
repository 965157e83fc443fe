import numpy as np
from PIL import Image

from deepres.data.crops import crop_of_scaled


def test_a_mirrored_crop_is_the_crop_mirrored() -> None:
    image = Image.effect_noise((90, 70), 80).convert("RGB")
    crop = crop_of_scaled(image, 50, 0.3, 0.8, 32)
    assert crop.shape == (32, 32, 3)
    assert np.array_equal(crop_of_scaled(image, 50, 0.3, 0.8, 32, mirror=True), crop[:, ::-1])
