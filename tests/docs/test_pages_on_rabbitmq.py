"""What the page on RabbitMQ shows works on a broker when only the names are changed."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import aio_pika

from tools.pages import read_page, run_page
from tools.uv import ROOT

RUN = """
```python
{program}
```
<!-- output -->
```text
{output}
```
"""


async def _remove(url: str, prefix: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        driver = await channel.get_underlay_channel()
        await driver.queue_delete(f"{prefix}.unroutable")
        for name in ("messages", "unroutable", "dead"):
            await driver.exchange_delete(f"{prefix}.{name}")


def test_the_page_publishes_what_it_says(rabbitmq_url: str, tmp_path: Path) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    text = (ROOT / "docs" / "howto" / "rabbitmq.md").read_text(encoding="utf-8")
    shown = text.split("```text\n")[1].split("```")[0].strip()
    page = tmp_path / "page.md"
    page.write_text(
        (text + RUN.format(program="await publish()", output=shown))
        .replace("amqp://guest:guest@localhost:5672/", rabbitmq_url)
        .replace("shop", prefix)
    )
    try:
        assert run_page(read_page(page)) == []
    finally:
        asyncio.run(_remove(rabbitmq_url, prefix))
