"""Runs a command with a terminal of its own and plays a user who sits at it.

usage: terminal.py <steps as JSON> <command> [argument ...]
Steps: ["expect", text], ["type", text], ["resize", rows, columns]; ["insist", keys, text] types again and again until the
text is shown, or until the end if there is none, as a user does who cannot know whether the other side is ready;
["touch", path] tells the outside how far this is; ["raw"] waits until keys go through one by one. Exits as the command does, and complains if that leaves the
terminal other than it was.
"""

import fcntl
import json
import os
import select
import struct
import sys
import termios
import time

PATIENCE_SECS = 60
INSIST_SECS = 0.3


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def expect(terminal, text, shown):
    deadline = time.time() + PATIENCE_SECS
    while text.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.time()))
        piece = read(terminal) if ready else b""
        if not piece:
            sys.exit("%r was never shown, but %r" % (text, shown))
        shown += piece
    return shown.split(text.encode(), 1)[1]


def drain(terminal):
    """All there is to read now, and whether nobody is at the other end any more."""
    shown = b""
    while select.select([terminal], [], [], 0)[0]:
        piece = read(terminal)
        if not piece:
            return shown, True
        shown += piece
    return shown, False


def insist(terminal, keys, text, shown):
    deadline = time.time() + PATIENCE_SECS
    ended = False
    while not ended and (text is None or text.encode() not in shown):
        if time.time() > deadline:
            sys.exit("%r was never shown, but %r" % (text or "the end", shown[-1000:]))
        os.write(terminal, keys.encode())
        # What it does shall show before it is typed again, for its echo comes at once.
        time.sleep(INSIST_SECS)
        piece, ended = drain(terminal)
        shown += piece
    return b"" if text is None else expect(terminal, text, shown)


def until_closed(terminal):
    shown = b""
    while select.select([terminal], [], [], PATIENCE_SECS)[0]:
        piece = read(terminal)
        if not piece:
            return
        shown += piece
    sys.exit("the end was never shown, but %r" % shown[-1000:])


def settings(terminal):
    """Of the other end, which the command has: on Linux either end tells."""
    return termios.tcgetattr(terminal)


def until_raw(terminal):
    deadline = time.time() + PATIENCE_SECS
    while settings(terminal)[3] & termios.ICANON:
        if time.time() > deadline:
            sys.exit("raw mode was never shown")
        time.sleep(0.01)


def start(command):
    """As a session's first process, whose terminal this is: keys become signals if nobody prevents it."""
    terminal, inner = os.openpty()
    # Its size is known before anything is asked.
    resize(inner, 33, 99)
    before = settings(terminal)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(inner, fd)
        os.close(terminal)
        os.execvp(command[0], command)
    os.close(inner)
    return child, terminal, before


def main():
    steps, command = json.loads(sys.argv[1]), sys.argv[2:]
    child, terminal, before = start(command)
    shown = b""
    for kind, *what in steps:
        if kind == "expect":
            shown = expect(terminal, what[0], shown)
        elif kind == "insist":
            shown = insist(terminal, what[0], what[1] if what[1:] else None, shown)
        elif kind == "type":
            os.write(terminal, what[0].encode())
        elif kind == "resize":
            resize(terminal, *what)
        elif kind == "raw":
            until_raw(terminal)
        else:
            open(what[0], "w").close()
    until_closed(terminal)
    _, status = os.waitpid(child, 0)
    if settings(terminal) != before:
        sys.exit("the terminal was not restored: %r, then %r" % (before, settings(terminal)))
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


main()
