"""A support bot for many customers with one memory: see the README beside this file."""
