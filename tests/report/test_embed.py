import re

from matplotlib.figure import Figure

from deepres.report.embed import embed, figure_html
from deepres.report.pictures import svg_text


def picture() -> str:
    figure = Figure(figsize=(5, 3))
    figure.add_subplot().plot([1, 2], [3, 4])
    return svg_text(figure)


def test_a_picture_has_ids_of_its_own_and_a_title() -> None:
    page = embed(picture() + picture(), "a", "errors < 5") + embed(picture(), "b", "others")
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    links = re.findall(r'(?:url\(#|href="#|labelledby=")([^")]+)', page)
    assert len(links) > 3
    assert set(links) <= set(names)
    assert page.count('role="img"') == 3
    assert page.count(">errors &lt; 5</title>") == 2
    assert not re.search(r'<svg[^>]*\s(?:width|height)="', page)  # as wide as the page lets it be
    assert "max-width:480px" in page  # 5 inches
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


def test_a_table_scrolls_in_its_own_box() -> None:
    page = embed("<p>a</p><table><tr><td>\\1</td></tr></table><p>b</p>", "t", 'Table "6"')
    box = '<div class="scroll" tabindex="0" role="region" aria-label="Table &quot;6&quot;">'
    assert page == f"<p>a</p>{box}<table><tr><td>\\1</td></tr></table></div><p>b</p>"


def test_a_label_is_taken_literally() -> None:
    assert r'aria-label="\1 \g&lt;0&gt;"' in embed("<table></table>", "t", r"\1 \g<0>")


def test_a_caption_is_escaped() -> None:
    assert figure_html("<svg></svg>", "a < b").endswith(
        "<figcaption>a &lt; b</figcaption></figure>"
    )
