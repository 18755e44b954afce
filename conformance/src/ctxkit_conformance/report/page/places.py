"""The anchors of the page: one for each component, each tier of it, each check."""

from __future__ import annotations

import re

from ctxkit_conformance.results import CheckResult


def subject_place(number: int) -> str:
    """Return the anchor of a component; they are numbered as in the report."""
    return f"c{number}"


def tier_place(number: int, tier: str) -> str:
    """Return the anchor of a tier of a component."""
    return f"{subject_place(number)}-{_safe(tier)}"


def check_place(number: int, check: CheckResult) -> str:
    """Return the anchor of a check; one name may stand in two tiers."""
    return f"{tier_place(number, check.tier)}-{_safe(check.name)}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", lambda found: f"~{ord(found.group()):x}", text)
