"""A call whose job is at its time limit when it first runs, and ends when it runs again."""

import os
import signal
import time


def stop_once(marker):
    if marker.exists():
        return "ended in a second turn"
    marker.touch()
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(60)
    raise AssertionError("the job was not stopped")
