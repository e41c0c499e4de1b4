"""Candidates that tests load by their file are not collected: some need a library of their own."""

collect_ignore_glob = ["*_callables.py"]
