import torch
from small_detector import images, small_detector

from deepres.detection.context import beside_context, with_whole_image, without_context


def test_the_whole_image_is_one_more_region() -> None:
    boxes = [torch.tensor([[1.0, 2, 3, 4]]), torch.zeros(0, 4)]
    first, second = with_whole_image(boxes, [(30, 40), (50, 60)])
    assert first.tolist() == [[1, 2, 3, 4], [0, 0, 40, 30]]
    assert second.tolist() == [[0, 0, 60, 50]]


def test_each_region_has_its_own_images_vector_beside_it() -> None:
    vectors = torch.tensor([[1.0], [2], [3], [4], [5]])
    joined = beside_context(vectors, [3, 2])  # 3 and 5 are those of the images
    assert joined.tolist() == [[1, 3], [2, 3], [4, 5]]
    assert without_context(vectors, [3, 2]).tolist() == [[1], [2], [4]]


@torch.inference_mode()
def test_the_siblings_take_a_region_and_its_image() -> None:
    detector = small_detector(global_context=True).eval()
    scaled, _ = detector.transform(images())
    features = detector.features(scaled)
    boxes = [torch.tensor([[4.0, 4, 30, 30], [9, 2, 50, 40]]), torch.tensor([[7.0, 9, 40, 60]])]
    heads, sizes = detector.roi_heads, scaled.image_sizes
    maps, found = heads.describe(features, boxes, sizes)
    length = heads.vector_length
    assert found.shape == (3, 2 * length)
    assert maps.shape == (3, length, 7, 7)
    torch.testing.assert_close(found[:, :length], heads.vectors(features, boxes, sizes))
    whole = [torch.tensor([[0.0, 0, width, height]]) for height, width in sizes]
    torch.testing.assert_close(
        found[:, length:], heads.vectors(features, whole, sizes)[torch.tensor([0, 0, 1])]
    )
