"""The judge: runs a candidate where it can do no harm, and says whether it is right.

One flow, one direction. A `candidate` (`description/` reads what is said of it) and its `inputs`
(`planning/` chooses among them) go through `checks/`. These have the `trial` call it in a `sandbox`
(`calls/`) and judge what comes back against the `reference` (`judging/`; `ops/` has a file an op).
Failures go into the `diagnosis` (`explaining/`, with `mistakes/` and `patterns/` to compare with,
named and explained in `catalogue/`), all of it into a `verdict`, and that into `reports/`.
"""
