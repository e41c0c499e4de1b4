"""What a person or a program reads: one module a format, each from the same `Report`."""
