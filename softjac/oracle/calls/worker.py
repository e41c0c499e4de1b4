"""The child process: how it starts and ends, whatever it is there to call."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from softjac.oracle.calls.channel import Channel, ChildLostError

__all__ = ["RefusedError", "serve"]


class RefusedError(Exception):
    """The candidate or the platform cannot be served: what the parent is told instead of ready."""


def serve(make: Callable[..., Any]) -> None:
    """Serves one parent until it closes the channel, whose descriptor is the only argument.

    `make`, given the channel and what the parent sends first, gives what answers all the rest.
    """
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(ChildLostError):
        try:
            make(channel, *channel.receive()).serve()
        except RefusedError as refused:
            channel.send(refused.args)
    os._exit(0)  # what a candidate registered with atexit is not run
