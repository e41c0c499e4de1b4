"""No tests stand here: the specimens are read, not imported, by those of tests/mutants."""

collect_ignore_glob = ["*_honest.py"]
