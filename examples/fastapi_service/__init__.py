"""A memory service over HTTP: see the README beside this file."""
