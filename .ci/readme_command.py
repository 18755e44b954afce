"""Print one of the two commands that the README opens with: `demo` or `test`."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main() -> None:
    """Print the command of that name, or fail when the README does not open with both."""
    readme = Path(__file__).parent.parent / "README.md"
    commands = re.findall(r"^```console\n\$ (.+)$", readme.read_text(encoding="utf-8"), re.MULTILINE)[:2]
    named = dict(zip(("demo", "test"), commands, strict=True))
    print(named[sys.argv[1]])


if __name__ == "__main__":
    main()
