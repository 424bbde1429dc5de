# SPDX-License-Identifier: BSD-3-Clause
"""Signals as a program expects to find them, whoever started the tests.

nohup, a script's background and some CI runners hand on ignored signals; exec() keeps them, and a
program of a test that is to end by such a signal then does not. A signal with a handler starts out
as default in the next program, while we ourselves still take no notice of it.
"""

import signal

# Python ignores these two itself, and subprocess puts them back.
PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}


def default_for_children():
    """From now on programs that we start have default dispositions and an empty signal mask."""
    for number in signal.valid_signals() - PYTHONS_OWN:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
