"""`python -m scripts.pictures`: renew docs/images from what tests/test_ui.py sees. Needs chromium.

With a folder as its argument, it takes the pictures that `UI_SCREENSHOTS=folder` left there instead of running the
tests. Look at the pictures before you commit them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

_IMAGES = Path(__file__).parent.parent / "docs" / "images"
#: The pictures in the documentation. Each is less than 120 kB.
_NAMES = ("engine-form", "run", "report", "runs")


def main() -> int:
    """Take the pictures. Returns the exit status."""
    if len(sys.argv) > 1:
        return _convert(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "tests/test_ui.py"]
        status = subprocess.run(command, cwd=_IMAGES.parent.parent, env=os.environ | {"UI_SCREENSHOTS": folder})
        return status.returncode or _convert(Path(folder))


def _convert(folder: Path) -> int:
    for name in _NAMES:
        with Image.open(folder / f"{name}.png") as picture:
            small = picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
        small.save(_IMAGES / f"{name}.png", optimize=True)
        print(f"{name}.png: {(_IMAGES / f'{name}.png').stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
