"""Right or wrong: exact answers against what came back, within proven bounds."""
