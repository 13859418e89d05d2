"""Revenue by month as an SVG picture."""

from __future__ import annotations

from math import ceil, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from record_store.queries import MonthlyRevenue

__all__ = ["revenue_chart"]

_WIDTH: Final = 960
_HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 76, 52
_PLOT_WIDTH: Final = _WIDTH - _LEFT - _RIGHT
_PLOT_HEIGHT: Final = _HEIGHT - _TOP - _BOTTOM
_BASE: Final = _HEIGHT - _BOTTOM
_STYLE: Final = """
  text { font: 13px "Helvetica Neue", Helvetica, Arial, sans-serif; fill: #475569 }
  .title { font-size: 20px; font-weight: 600; fill: #0f172a }
  .month { font-size: 11px }
  .grid { stroke: #e2e8f0 }
  .base { stroke: #94a3b8 }
  .bar { fill: #2563eb }
"""


def revenue_chart(months: Sequence[MonthlyRevenue]) -> str:
    """Return the picture as SVG text."""
    revenue = sum(month.revenue for month in months)
    top = _round_up(max((float(month.revenue) for month in months), default=0.0))
    first, last = (months[0].month, months[-1].month) if months else ("", "")
    body = "\n".join([*_grid(top), *_bars(months, top)])
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" \
width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="Revenue by month">
<style>{_STYLE}</style>
<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>
<text class="title" x="{_LEFT}" y="34">Revenue by month</text>
<text x="{_LEFT}" y="56">{first} to {last}: {revenue:,.2f} US dollars</text>
{body}
<line class="base" x1="{_LEFT}" y1="{_BASE}" x2="{_WIDTH - _RIGHT}" y2="{_BASE}"/>
</svg>
"""


def _grid(top: float) -> Iterator[str]:
    for step in range(6):
        y = _BASE - _PLOT_HEIGHT * step / 5
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:g}" x2="{_WIDTH - _RIGHT}" y2="{y:g}"/>'
        dollars = f"${top * step / 5:,.0f}"
        yield f'<text x="{_LEFT - 10}" y="{y + 4:g}" text-anchor="end">{dollars}</text>'


def _bars(months: Sequence[MonthlyRevenue], top: float) -> Iterator[str]:
    slot = _PLOT_WIDTH / max(len(months), 1)
    labelled = ceil(len(months) / 12) or 1
    for index, month in enumerate(months):
        height = _PLOT_HEIGHT * float(month.revenue) / top
        x = _LEFT + slot * index
        yield (
            f'<rect class="bar" x="{x + slot * 0.14:.1f}" y="{_BASE - height:.1f}" '
            f'width="{slot * 0.72:.1f}" height="{height:.1f}" rx="2">'
            f"<title>{month.month}: ${month.revenue:,.2f}</title></rect>"
        )
        if index % labelled == 0:
            yield (
                f'<text class="month" x="{x + slot / 2:.1f}" y="{_BASE + 20}" '
                f'text-anchor="middle">{month.month}</text>'
            )


def _round_up(value: float) -> float:
    """Return a round number above the value that five grid lines divide into whole dollars."""
    unit = 10.0 ** int(log10(max(value, 1)))
    rounded = (step * unit for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10))
    return next(top for top in rounded if top >= value and top % 5 == 0)
