"""Messages between parent and child: whole, in pieces, several at once, garbled, or none."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from softjac.oracle.calls.channel import Channel, ChildLostError, GarbledError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """One end as a channel, the other bare."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def sent(*messages: object) -> bytes:
    """The bytes that messages are sent as."""
    one, other = socket.socketpair()
    with one, other:
        for message in messages:
            Channel(one).send(message)
        return other.recv(1 << 16)


def test_messages_that_came_together_are_read_one_by_one(
    ends: tuple[Channel, socket.socket],
) -> None:
    """The second is there to be read, though nothing is left in the socket."""
    channel, other = ends
    other.sendall(sent("first", ("second", 2)))
    assert channel.receive() == "first"
    assert channel.is_readable(0)
    assert channel.has_message()
    assert channel.arrived() == ("second", 2)
    assert not channel.is_readable(0)
    assert channel.arrived() is None


def test_a_message_in_pieces_is_not_waited_for(ends: tuple[Channel, socket.socket]) -> None:
    """`arrived` gives it when its last byte has come, and not before."""
    channel, other = ends
    data = sent(list(range(100)))
    for place in range(len(data) - 1):
        other.sendall(data[place : place + 1])
        assert channel.arrived() is None
    other.sendall(data[-1:])
    assert channel.arrived() == list(range(100))


@pytest.mark.parametrize("data", [b"hello, log\n", sent(1)[:16] + b"xxxxx", b"\0" * 64])
def test_what_is_no_message_is_told(data: bytes, ends: tuple[Channel, socket.socket]) -> None:
    """A candidate that writes into the channel is no reason to wait, whatever it writes."""
    channel, other = ends
    other.sendall(data)
    with pytest.raises(GarbledError):
        channel.arrived()


def test_the_end_of_the_channel_is_told(ends: tuple[Channel, socket.socket]) -> None:
    """Both ways of reading say that nobody is there any more."""
    channel, other = ends
    other.close()
    with pytest.raises(ChildLostError, match="closed"):
        channel.arrived()
    with pytest.raises(ChildLostError, match="closed"):
        channel.receive()
