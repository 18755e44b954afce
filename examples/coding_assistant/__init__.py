"""An assistant that knows a repository: see the README beside this file."""
