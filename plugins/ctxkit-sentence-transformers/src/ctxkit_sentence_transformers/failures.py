"""Why a model of sentence-transformers did not load."""

from __future__ import annotations

from typing import Final

from ctxkit.interfaces.loading import LoadFailures

NAME: Final = "sentence-transformers"
_FAILURES: Final = LoadFailures(NAME, smaller="a smaller model such as paraphrase-MiniLM-L3-v2, a smaller batch_size")

failed = _FAILURES.failed
load_failure = _FAILURES.explained
