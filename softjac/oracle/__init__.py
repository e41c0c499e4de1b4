"""The judge: runs a candidate where it can do no harm, and says whether it is right."""
