"""`ctxkit bench vector-store`: what a store costs beside the library that it is built on.

Everything is a ratio to the raw library, used well, in the same run: see docs/benchmarks.md. An author whose library is
not known here writes a Baseline (ctxkit_conformance.bench.baseline) and names it with --baseline.
"""
