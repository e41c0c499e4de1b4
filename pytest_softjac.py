"""pytest plugin: judge candidates as test items."""
