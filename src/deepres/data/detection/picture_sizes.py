"""Pictures that are of another size than their annotations say, found before any is decoded."""

from dataclasses import replace

from deepres.data.detection.checks import SHOWN, BadBoxes, Say
from deepres.data.detection.loading import image_size, wrong_size
from deepres.data.detection.records import AnnotatedImage, DetectionSet
from deepres.errors import UserError
from deepres.progress import Progress


def checked_sizes(
    data: DetectionSet, bad_boxes: BadBoxes, say: Say = print, *, shown: bool = True
) -> DetectionSet:
    """Return the images of ``data`` whose boxes can be of their pictures, by the pictures' sizes.

    Headers alone are read: some seconds for 10,000 images.

    Args:
        data: the images.
        bad_boxes: whether others stop the reading or are left out.
        say: receives a line on what was left out.
        shown: whether a bar is shown.

    Raises:
        UserError: there are others, and ``bad_boxes`` is "fail"; or none is left.
        BadImage: a picture cannot be read.
    """
    kept: list[AnnotatedImage] = []
    wrong: list[str] = []
    with Progress(f"check {data.name}", len(data), shown=shown) as bar:
        for done, image in enumerate(data.images, 1):
            if found := wrong_size(image, image_size(image.path)):
                wrong.append(found)
            else:
                kept.append(image)
            bar.update(done)
    if not wrong:
        return data
    count = f"{len(wrong):,} of {len(data):,} images"
    if bad_boxes == "fail":
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"{data.name}: {count} cannot be what was annotated: {'; '.join(wrong[:SHOWN])}{more}. "
            "Mend the files, or leave such images out: --bad-boxes skip"
        )
    if not kept:
        raise UserError(f"{data.name} has no image of the size annotated; the first: {wrong[0]}")
    say(f"{data.name}: {count} left out, of other sizes than annotated; the first: {wrong[0]}")
    return replace(data, images=tuple(kept))
