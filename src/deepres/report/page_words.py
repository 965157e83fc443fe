"""How the page's templates put numbers and values into words."""

from collections.abc import Callable
from typing import Any

from deepres.report.judging import Evidence


def count(number: int, one: str, many: str | None = None) -> str:
    """Return "1 run" or "2 runs"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def number(value: float | None, decimals: int, sign: str = "") -> str:
    """Return a number with so many decimals and a true minus; of None a dash."""
    return "–" if value is None else f"{value:{sign}.{decimals}f}".replace("-", "−")


def sentence(text: str) -> str:
    """Return ``text`` with a capital at its beginning."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]  # mAP stays mAP


def listed(value: Any) -> str:
    """Return a value of a recipe for people."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def difference(evidence: Evidence) -> str:
    """Return the difference of the first side and the last, of ratios their quotient."""
    measure, finding = evidence.comparison.measure, evidence.finding
    if evidence.difference is None:
        return "–"

    def put(value: float) -> str:
        if measure.ratio:
            return f"×{value:,.0f}" if value >= 100 else f"×{value:.3g}"
        return number(value, measure.decimals, "+")

    interval = finding.interval if finding else None
    ends = f" ({' to '.join(map(put, interval))})" if interval else ""
    return put(evidence.difference) + ends


def p_value(p: float | None) -> str:
    """Return a p-value with three decimals."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


WORDS: tuple[Callable[..., str], ...] = (count, number, sentence, listed, difference, p_value)
"""What templates may use, by name."""
