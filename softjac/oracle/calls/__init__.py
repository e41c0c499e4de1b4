"""Calls of a candidate where it can do no harm: child processes, guard pages, shared memory."""
