"""`python -m ctxkit`: the same as the command `ctxkit`."""

from __future__ import annotations

from ctxkit.cli import main

if __name__ == "__main__":
    main()
