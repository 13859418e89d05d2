"""Fetch uv into a private folder, with nothing but a Python and its standard library.

A Python without pip (Debian splits it off) borrows one: pip's wheel runs without being installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

REQUIREMENT = "uv>=0.9"
PIP_INDEX = "https://pypi.org/pypi/pip/json"
HELP = """\
uv could not be fetched: {error}

Any one of these helps; then run the same command again:
  - install uv yourself: https://docs.astral.sh/uv/getting-started/installation/
  - give this Python a pip (Debian, Ubuntu: sudo apt-get install python3-pip)
  - check the connection to pypi.org (pip reads HTTPS_PROXY and PIP_INDEX_URL)
"""


def main(target: Path) -> None:
    """Install uv below `target`, so that `target`/bin/uv runs."""
    print(f"uv is not on the path: fetching it into {target} (nothing else is touched) ...")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _install(_pip(Path(scratch)), target)
    except (OSError, subprocess.CalledProcessError, LookupError, ValueError) as exc:
        sys.exit(HELP.format(error=exc))


def _pip(scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    print("this Python has no pip: borrowing one from pypi.org ...")
    return [sys.executable, str(_download_pip(scratch) / "pip")]


def _download_pip(scratch: Path) -> Path:
    with urllib.request.urlopen(PIP_INDEX, timeout=60) as reply:
        files = json.load(reply)["urls"]
    wheel = next(file for file in files if file["packagetype"] == "bdist_wheel")
    # A mirror of the index may answer with an address relative to its own.
    address = urllib.parse.urljoin(PIP_INDEX, wheel["url"])
    with urllib.request.urlopen(address, timeout=60) as reply:  # noqa: S310 - named by the index
        content = reply.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        raise ValueError("the pip that arrived is not the one pypi.org announced")
    path = scratch / str(wheel["filename"])
    path.write_bytes(content)
    return path


def _install(pip: list[str], target: Path) -> None:
    command = [*pip, "install", "-qq", "--upgrade", "--target", str(target), REQUIREMENT]
    # `user = true` in somebody's pip configuration cannot be combined with a target folder.
    environment = {**os.environ, "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run(command, check=True, env=environment)
    if not (target / "bin" / "uv").exists():
        raise LookupError(f"pip finished, but {target}/bin/uv is not there")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
