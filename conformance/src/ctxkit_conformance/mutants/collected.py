"""What pytest collects in a trial: the contract as a test class for each specimen on trial."""

from __future__ import annotations

from ctxkit_conformance.mutants.trial import contracts

globals().update(contracts())
