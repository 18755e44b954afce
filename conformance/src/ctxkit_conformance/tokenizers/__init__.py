"""The checks of tokenizers."""
