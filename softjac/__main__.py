"""`python -m softjac`: the command."""

from __future__ import annotations

from softjac.cli import main

if __name__ == "__main__":
    main()
