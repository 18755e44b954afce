"""Broken components, each with one defect, and the check that has to notice it: how the suite examines itself.

A mutant is a class in one of these modules whose docstring names its defect as a user meets it; a dict at the end of
the module gives the name of the check that kills it. `harmless` holds what is merely different and has to pass.
`catalogue` collects all of them, and `ctxkit_conformance.selftest` runs them.
"""
