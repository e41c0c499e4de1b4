"""Mistakes that are not in the numbers: memory, aliasing, state, threads, liveness."""

from __future__ import annotations

from softjac.oracle.catalogue.entry import Entry

__all__ = ["BEHAVIOUR"]

BEHAVIOUR: dict[str, Entry] = {
    "unaligned-access": Entry(
        "An instruction that demands alignment is used on rows that need not be aligned.",
        "An aligned vector load or store faults when the row does not start at a multiple of "
        "16, 32 or 64 bytes: the second row of an odd length, or a slice. Large allocations "
        "and lengths that are multiples of the vector hide it.",
        "Use unaligned loads and stores (they cost nothing on aligned data), or declare the "
        "demand with --align and --assume.",
        ("Paddle#19487", "TNN#1682"),
    ),
    "out-of-bounds-read": Entry(
        "Memory outside an input array, or a block that was allocated, is read.",
        "The candidate reads before the first or past the last element of an array, or of scratch "
        "memory of its own; at the end of a mapping that is a segmentation fault, elsewhere it "
        "reads what belongs to somebody else. Usually a full vector is loaded where less than a "
        "vector is left.",
        "Load the tail with a mask or element by element; if reading ahead is part of the "
        "contract, declare it with --over-read.",
        ("XNNPACK#1003", "pytorch#194799"),
    ),
    "out-of-bounds-write": Entry(
        "Memory outside the output array, or a block that was allocated, is written.",
        "The candidate stores before the first or past the last element of a row, or of scratch "
        "memory of its own: into the gap between rows, the next array, or the allocator's data. "
        "Usually a full vector is stored where less than a vector is left, or scratch memory is "
        "smaller than what it is used for.",
        "Store the tail with a mask or element by element, and never past the row's n elements; "
        "allocate as many bytes as are written.",
    ),
    "input-modified": Entry(
        "An input array is written to.",
        "The candidate uses an input as scratch space (x -= max, dy *= y), so the caller's data "
        "change; on read-only memory it crashes, and restoring it afterwards still breaks "
        "other threads that read it. A test that makes new inputs for every call hides it. An "
        "array of NumPy is changed, too, where its shape is set or writing to it is forbidden.",
        "Write to the output or to scratch memory of the call; leave inputs const.",
        ("MyGrad#72", "apex#1430", "apex#1587", "Liger-Kernel#1251"),
    ),
    "alias-unsafe": Entry(
        "The result is wrong when the output shares memory with an input, as it claims to allow.",
        "An element of the shared array is overwritten before its last use: the output is "
        "cleared first, or written in the pass that still computes the sum. Separate arrays "
        "hide it.",
        "Finish all sums over a row before its first store, and read each element before "
        "writing it; or withdraw the claim (--in-place).",
        ("ggml#1521", "llama.cpp#27096"),
    ),
    "crash": Entry(
        "The candidate dies of a signal.",
        "A segmentation fault, a bus error, a floating-point exception or an illegal "
        "instruction, at an address near no array: a null pointer, a stack overflow, an integer "
        "division by zero, an instruction that this processor lacks; or the C library aborts, "
        "because its heap was written over or memory freed twice. Accesses just outside an "
        "array have their own names, so this one says that no array was near.",
        "Run the replayed call under a debugger; the evidence names the signal and the size.",
    ),
    "crash-on-empty": Entry(
        "The candidate crashes (or hangs, or writes) when there is nothing to do.",
        "With n = 0 or rows = 0 it must return and touch nothing. x[0] as the first maximum, "
        "n - 1 in an unsigned type, and do-while loops are the usual causes.",
        "Return at once when n or rows is 0; or state the precondition with "
        "--assume 'n >= 1' or 'rows >= 1'.",
        ("pytorch#17262", "rten#307"),
    ),
    "raises": Entry(
        "The Python callable raises an exception on a valid input.",
        "An input within the contract (a view, one class, one row, a masked row) ends in an "
        "exception instead of a result. The evidence has its type and message.",
        "Handle the input, or exclude it with --assume.",
    ),
    "exits": Entry(
        "The candidate ends the process.",
        "It calls exit or abort, or an assertion does, so a caller cannot recover. A library "
        "routine reports failure by its return value.",
        "Return a non-zero status instead of exit, abort or assert.",
    ),
    "hang": Entry(
        "The candidate does not return within the time limit.",
        "The call took longer than the limit although calls of similar size predicted less: an "
        "endless loop for some lengths, an index that wraps before it reaches n, or a thread "
        "that is waited for and never ends. The time limit is taken from calls that did return, "
        "so a slow but steady O(n^2) routine is no hang.",
        "Check the loop's end for the length in the evidence; if it is only slow, raise --timeout.",
    ),
    "stale-state": Entry(
        "The result depends on earlier calls.",
        "The same inputs give other results after calls with other data or sizes: a static "
        "buffer or maximum that is not reset, a cache that recognises its data by address or "
        "size alone. A test with one call, or with one size, hides it.",
        "Keep no state between calls; initialise buffers and maxima in each.",
        ("tiny-dnn",),
    ),
    "reused-output": Entry(
        "The returned array is overwritten or returned again by a later call.",
        "The callable returns storage that it has returned before, so a result that was kept "
        "changes when the function is called again, or a cache's own array, which the next one "
        "who asks gets as the caller has left it. Tests that look at each result at once hide it.",
        "Return a new array from each call, let the caller pass the output, or forbid writing to "
        "what is kept (y.flags.writeable = False).",
    ),
    "nondeterministic": Entry(
        "The same inputs give different results, call after call.",
        "Results change without any change of inputs, addresses or earlier calls. The causes "
        "are a race between the candidate's own threads, uninitialised memory, random numbers "
        "and time.",
        "Join threads before returning, give each its own accumulator and add them in a fixed "
        "order, initialise all memory.",
        ("neon#171", "llama.cpp#26385", "llm.c#847"),
    ),
    "not-thread-safe": Entry(
        "Results are wrong when several threads call at once.",
        "Calls from different threads share a static or global buffer and overwrite each "
        "other's intermediate results. One thread alone sees nothing.",
        "Use the stack, memory of the call, or thread-local storage; or declare it with "
        "--not-reentrant.",
    ),
    "fp-environment-changed": Entry(
        "Settings of the process or thread, such as the rounding mode or signal handlers, are not "
        "left as they were found.",
        "A changed rounding mode, flush-to-zero or denormals-are-zero flag, exception mask, "
        "signal handler or processor affinity alters or hides what happens in the rest of the "
        "caller's program, far from the candidate; so do, in Python, NumPy's error handling, "
        "JAX's 64-bit mode, garbage collection and the current folder. With flush-to-zero left on, "
        "for instance, every later subnormal result of the process becomes 0.",
        "Save the setting at entry and restore it on every way out (with np.errstate, say), or do "
        "without it.",
    ),
    "unknown": Entry(
        "No mistake that has a name explains the failures.",
        "The results are outside their bounds, and none of the mistakes that have a name predicts "
        "them well enough. The evidence tells the formula that was computed, where one is found "
        "(an online sum that is not rescaled, say), or else where the failures lie: at which "
        "lengths, in which rows and elements.",
        "Start from the smallest counterexample and compare intermediate results (maximum, sum, "
        "dot product) with the reference.",
    ),
}
