from pathlib import Path

import pytest
from annotated_pictures import voc_folder, voc_xml

from deepres.data.detection.splits import open_detection_set
from deepres.data.detection.voc_xml import read_annotation
from deepres.errors import UserError

PLAIN = voc_xml(60, 40, [("猫", (5, 6, 20, 30))])


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        f'<?xml version="1.0" encoding="gb2312"?>{PLAIN}'.encode("gb2312"),
        f"<?xml version='1.0' encoding='Shift_JIS'?>\r\n{PLAIN}".encode("shift_jis"),
        PLAIN.replace("<annotation>", '<annotation xmlns="urn:x">').encode(),
        PLAIN.replace("<", "<v:")
        .replace("<v:/", "</v:")
        .replace("<v:annotation>", '<v:annotation xmlns:v="urn:x">')
        .encode(),
        f"<doc>{PLAIN}</doc>".encode(),
        PLAIN.replace("<object>", "<objects><object>")
        .replace("</object>", "</object></objects>")
        .encode(),
        PLAIN.replace("annotation>", "root>").encode(),
        PLAIN.replace("<size>", "<source><annotation>PASCAL</annotation></source><size>").encode(),
        PLAIN.replace("object>", "Object>").replace("annotation>", "Annotation>").encode(),
        PLAIN.replace("<name>猫", "<name>\n  猫\n").encode(),
    ],
)
def test_the_variants_of_peoples_tools_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    read = read_annotation(tmp_path / "a.xml")
    assert (read.width, read.height) == (60, 40)
    assert [(each.name, each.corners) for each in read.objects] == [("猫", (5, 6, 20, 30))]


def test_an_image_may_be_without_objects(tmp_path: Path) -> None:
    for content in ("<annotation/>", "<doc><annotation/></doc>", voc_xml(60, 40, [])):
        (tmp_path / "a.xml").write_text(content)
        assert read_annotation(tmp_path / "a.xml").objects == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body/></html>", r"a\.xml is no annotation of VOC's: it has no <annotation>"),
        (f"<all>{PLAIN}{PLAIN}</all>".encode(), r"a\.xml holds 2 annotations; one was expected"),
        (PLAIN.replace("猫", "狗").encode("gb2312"), r"a\.xml is not well-formed XML \(.*line 1"),
        (b'<?xml version="1.0" encoding="gb2312"?><annotation>\xff\xff</annotation>', "gb2312"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', r"klingon.*mend it"),
        (b'<?xml version="1.0" encoding="zlib"?><annotation/>', "not well-formed XML"),
        (b"", "not well-formed XML"),
    ],
)
def test_what_is_no_annotation_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_annotation(tmp_path / "a.xml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("listed", [True, False])
def test_hidden_files_are_no_annotations_and_endings_may_be_large(
    tmp_path: Path, listed: bool
) -> None:
    folder = voc_folder(tmp_path / "cells", {"train": {"a": PLAIN}})
    (folder / "Annotations/a.xml").rename(folder / "Annotations/a.XML")
    for hidden in ("Annotations/._a.xml", "JPEGImages/._a.jpg", "ImageSets/Main/._train.txt"):
        (folder / hidden).write_bytes(b"\0\5\26\7 of macOS")
    if listed:
        (folder / "classes.txt").write_bytes("\ufeff猫\r\n\r\n".encode())
    data = open_detection_set("train", folder)
    assert data.classes == ("猫",)
    assert data.images[0].objects.boxes.tolist() == [[4, 5, 20, 30]]
    with pytest.raises(UserError, match=r"did you mean train\?"):
        open_detection_set("trian", folder)


@pytest.mark.parametrize(
    ("text", "difficult"),
    [
        *[(text, True) for text in ("1", "true", "True", "YES", " 1 ")],
        *[(text, False) for text in ("0", "false", "No", "Unspecified", "")],
    ],
)
def test_difficult_is_said_in_many_ways(tmp_path: Path, text: str, difficult: bool) -> None:
    xml = voc_xml(60, 40, [("a", (5, 6, 20, 30))])
    xml = xml.replace("<difficult>0</difficult>", f"<difficult>{text}</difficult>")
    folder = voc_folder(tmp_path / "cells", {"train": {"x": xml}})
    (image,) = open_detection_set("train", folder).images
    assert image.objects.ignored.tolist() == [difficult]


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("<difficult>0", "<difficult>2", r"of unclear difficulty \('2'\)"),
        ("<difficult>0", "<difficult>perhaps", r"of unclear difficulty \('perhaps'\)"),
        ("<name>b</name>", "", r"without a name"),
        ("<name>b</name>", "<name> </name>", r"without a name"),
    ],
)
def test_objects_that_say_too_little_stop_or_are_left_out(
    tmp_path: Path, old: str, new: str, wrong: str
) -> None:
    xml = voc_xml(60, 40, [("b", (5, 6, 20, 30))]).replace(old, new)
    good = voc_xml(60, 40, [("a", (5, 6, 20, 30))])
    folder = voc_folder(tmp_path / "cells", {"train": {"x": xml, "y": good}})
    with pytest.raises(UserError, match=rf"x\.xml, object 1: {wrong}"):
        open_detection_set("train", folder)
    data = open_detection_set("train", folder, "skip", lambda line: None)
    assert [len(image.objects.boxes) for image in data.images] == [0, 1]
    assert "" not in data.classes
