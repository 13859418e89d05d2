"""Cohorts as an SVG picture: the darker a month, the more customers came back in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from record_store.cohorts import CohortMonth

__all__ = ["cohort_picture"]

_CELL_WIDTH, _CELL_HEIGHT = 46, 34
_LEFT, _RIGHT, _TOP, _BOTTOM = 120, 24, 96, 24
_STYLE: Final = """
  text { font: 12px "Helvetica Neue", Helvetica, Arial, sans-serif; fill: #475569 }
  .title { font-size: 20px; font-weight: 600; fill: #0f172a }
  .cell { text-anchor: middle }
"""


def cohort_picture(cohorts: Sequence[CohortMonth]) -> str:
    """Return the picture as SVG text."""
    rows = sorted({one.cohort for one in cohorts})
    columns = 1 + max((one.months_since for one in cohorts), default=0)
    width = _LEFT + _RIGHT + columns * _CELL_WIDTH
    height = _TOP + _BOTTOM + len(rows) * _CELL_HEIGHT
    body = "\n".join([*_head(columns), *_rows(cohorts)])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" role="img" aria-label="Customers who came back">
<style>{_STYLE}</style>
<rect width="{width}" height="{height}" fill="#ffffff"/>
<text class="title" x="24" y="34">Customers who came back</text>
<text x="24" y="56">Share of each cohort that bought something so many months after its first</text>
{body}
</svg>
"""


def _head(columns: int) -> Iterator[str]:
    for number in range(columns):
        x = _LEFT + (number + 0.5) * _CELL_WIDTH
        yield f'<text class="cell" x="{x:g}" y="{_TOP - 10}">{number}</text>'


def _rows(cohorts: Sequence[CohortMonth]) -> Iterator[str]:
    sizes = {one.cohort: one.customers for one in cohorts if one.months_since == 0}
    places = {cohort: _TOP + n * _CELL_HEIGHT for n, cohort in enumerate(sorted(sizes))}
    for cohort, y in places.items():
        name = f"{cohort:%Y-%m} ({sizes[cohort]:,})"
        yield f'<text x="24" y="{y + _CELL_HEIGHT * 0.6:g}">{name}</text>'
    for one in cohorts:
        yield from _cell(one, one.customers / sizes[one.cohort], places[one.cohort])


def _cell(month: CohortMonth, share: float, y: float) -> Iterator[str]:
    x = _LEFT + month.months_since * _CELL_WIDTH
    # Few come back, so what differs is at the low end.
    opacity = share**0.5
    ink = "#ffffff" if opacity > 0.5 else "#0f172a"
    yield (
        f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}" '
        f'rx="2" fill="#2563eb" fill-opacity="{opacity:.2f}">'
        f"<title>{month.cohort:%Y-%m} +{month.months_since}: {month.customers:,} customers, "
        f"${month.revenue:,.2f}</title></rect>"
    )
    yield (
        f'<text class="cell" x="{x + _CELL_WIDTH / 2:g}" y="{y + _CELL_HEIGHT * 0.6:g}" '
        f'style="fill: {ink}">{share:.0%}</text>'
    )
