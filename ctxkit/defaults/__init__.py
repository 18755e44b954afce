"""The components that come with the core and need nothing: no download, no key, no network."""
