"""The checks of embedders."""
