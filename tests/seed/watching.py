"""How a block's effect is seen: one function for each block of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seed.stage import Stage

Effect = Callable[[Stage], None]
EFFECTS: Final[dict[str, Effect]] = {}


def after(key: str) -> Callable[[Effect], Effect]:
    """Look at the block of that key right after it ran."""

    def keep(effect: Effect) -> Effect:
        assert key not in EFFECTS
        EFFECTS[key] = effect
        return effect

    return keep
