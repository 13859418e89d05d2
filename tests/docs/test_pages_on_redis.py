"""What the page on caching shows works on Redis when only the address and prefix are changed."""

from __future__ import annotations

import uuid
from pathlib import Path

from tools.pages import read_page, run_page
from tools.uv import ROOT

RUN = """
```python
async with redis_cache() as cache:
    await shop(cache)
    await cache.clear()
```
<!-- output -->
```text
{output}
```
"""


def test_the_page_answers_the_same_from_redis(redis_url: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "howto" / "caching.md").read_text(encoding="utf-8")
    shown = text.split("```text\n")[1].split("```")[0].strip()
    page = tmp_path / "page.md"
    page.write_text(
        (text + RUN.format(output=shown))
        .replace("redis://localhost:6379/0", redis_url)
        .replace('prefix="shop"', f'prefix="test-{uuid.uuid4().hex}"')
    )
    assert run_page(read_page(page)) == []
