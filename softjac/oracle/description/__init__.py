"""What is said of a candidate: its target, C prototype or Python signature, preconditions."""
