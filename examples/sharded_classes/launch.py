"""Start a program in several processes of jax.distributed, and end with all or with an error.

    python launch.py --processes 2 --limit 120 program.py [arguments]

Every process gets --process, --processes and --coordinator (an address on the loopback). When one
of them ends badly, or the time limit passes, the others are stopped and the error says which.
"""

import argparse
import socket
import subprocess
import sys
import time


def free_address() -> str:
    """An address on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def run(program: list[str], processes: int, limit: float) -> str | None:
    """Run to the end; the error, or None."""
    address = free_address()
    common = [sys.executable, *program, "--processes", str(processes), "--coordinator", address]
    started = [subprocess.Popen([*common, "--process", str(number)]) for number in range(processes)]
    end = time.monotonic() + limit
    try:
        while True:
            statuses = [process.poll() for process in started]
            for number, status in enumerate(statuses):
                if status not in (None, 0):
                    how = f"status {status}" if status > 0 else f"signal {-status}"
                    return f"process {number} of {processes} ended with {how}: stopped the others"
            if all(status == 0 for status in statuses):
                return None
            if time.monotonic() > end:
                waiting = [number for number, status in enumerate(statuses) if status is None]
                return f"no end after {limit:g} s: stopped processes {waiting}"
            time.sleep(0.05)
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.program:
        parser.error("which program? Such as: launch.py --processes 2 program.py")
    error = run(options.program, options.processes, options.limit)
    if error:
        sys.exit(f"launch: {error}")


if __name__ == "__main__":
    main()
