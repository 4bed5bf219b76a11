"""Ctrl-C for the tests of long compiled loops."""

import _thread
import signal
import threading
import time

import pytest


@pytest.fixture
def answer_time():
    """CPU seconds from an interrupt, sent while `work` runs, to its answer.

    Not wall time: other processes may hold the processor. A background job starts with the signal
    ignored, so Python's own handler is put in place.
    """

    def measure(work):
        sent = []

        def interrupt():
            sent.append(time.process_time())
            _thread.interrupt_main()

        timer = threading.Timer(0.05, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work()
        seconds = time.process_time() - sent[0]
        timer.join()
        return seconds

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield measure
    signal.signal(signal.SIGINT, handler)
