"""The checks of a vector store, a module per subject."""
