"""Pictures whose boxes are of another size or turn, found before any is decoded."""

from dataclasses import replace

from deepres.data.detection.checks import SHOWN, BadBoxes, Say
from deepres.data.detection.loading import size_and_turn, wrong_size
from deepres.data.detection.records import AnnotatedImage, DetectionSet
from deepres.data.images import SIDEWAYS
from deepres.errors import UserError
from deepres.progress import Progress


def checked_sizes(
    data: DetectionSet,
    bad_boxes: BadBoxes,
    say: Say = print,
    *,
    scaled: bool = False,
    shown: bool = True,
) -> DetectionSet:
    """Return the images of ``data`` whose boxes can be of their pictures, by the pictures' sizes.

    Pictures are turned upright as their EXIF data say, and boxes are taken to be of that; where
    annotations say the size before the turn, they are not. Headers alone are read: some seconds for
    10,000 images.

    Args:
        data: the images.
        bad_boxes: whether others stop the reading or are left out.
        say: receives a line on what was left out, and on turns that no size tells of.
        scaled: whether pictures may be scaled copies of what was annotated.
        shown: whether a bar is shown.

    Raises:
        UserError: there are others, and ``bad_boxes`` is "fail"; or none is left.
        BadImage: a picture cannot be read.
    """
    kept: list[AnnotatedImage] = []
    wrong: list[str] = []
    unclear: list[AnnotatedImage] = []
    with Progress(f"check {data.name}", len(data), shown=shown) as bar:
        for done, image in enumerate(data.images, 1):
            size, turn = size_and_turn(image.path)
            # Above 0: both lie or both stand; below: one lies, and the other stands.
            alike = (size[0] - size[1]) * (image.width - image.height)
            looked_at = not scaled or (turn in SIDEWAYS and alike < 0)
            if looked_at and (found := wrong_size(image, size)):
                wrong.append(found)
            else:
                kept.append(image)
                if turn is not None and not (turn in SIDEWAYS and alike > 0):
                    unclear.append(image)
            bar.update(done)
    if unclear:
        say(
            f"{data.name}: {len(unclear):,} of {len(data):,} images are turned by EXIF, and no "
            f"size tells whether their boxes are of the picture before or after; they are taken "
            f"as of the upright one; the first: {unclear[0].path}"
        )
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
