"""What may be wrong with an installation, its configuration and its store, and the command that mends it."""
