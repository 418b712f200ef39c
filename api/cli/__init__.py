"""The command line. `catalens.py` is where it begins, with the options of the short commands.

Options of the others are in `X_options.py`; what a command does and prints is in `X_commands.py`, or in `commands.py`.
"""

from api.cli.catalens import app, main

__all__ = ["app", "main"]
