"""The checks of a language model adapter, run against a server that fails as it is told."""
