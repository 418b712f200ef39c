"""The command line. `catalens.py` has its commands; those of a kind are in a folder of their own."""

from api.cli.catalens import app, main

__all__ = ["app", "main"]
