"""Ties a command to the life of the process that starts it, then becomes the command.

Run as a file: ``python -I -S leash.py PARENT_PID COMMAND …``. On Linux the kernel then ends the
command when the parent dies, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG; it outlives execve).
Other systems have nothing like it: there, a parent killed by SIGKILL leaves the command running.
It is done here and not between fork and exec in the parent, which has threads by then.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
LOST_PARENT = 1


def main(arguments: list[str]) -> None:
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        # SIGKILL: by then nobody is left to insist, and a worker's warm shutdown may take long.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the request was in place, so nothing would ever end the command.
        sys.exit(LOST_PARENT)
    os.execvp(command[0], command)  # noqa: S606  that is all it is for


if __name__ == "__main__":
    main(sys.argv[1:])
