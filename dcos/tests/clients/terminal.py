"""Runs a command with a terminal of its own and plays a user who sits at it.

usage: terminal.py <steps as JSON> <command> [argument ...]
Steps: ["expect", text], ["type", text], ["resize", rows, columns]. Exits as the command does.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

PATIENCE_SECS = 60


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


def main():
    steps, command = json.loads(sys.argv[1]), sys.argv[2:]
    child, terminal = pty.fork()
    if child == 0:
        # Its size is known before anything is asked.
        resize(0, 33, 99)
        os.execvp(command[0], command)
    shown = b""
    for kind, *what in steps:
        if kind == "expect":
            shown = expect(terminal, what[0], shown)
        elif kind == "type":
            os.write(terminal, what[0].encode())
        else:
            resize(terminal, *what)
    while read(terminal):
        pass
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) % 256)


main()
