"""The worker processes that decode images: how they begin, and how they end."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

LEFT_TO_PARENT: tuple[signal.Signals, ...] = (signal.SIGTERM,)
if sys.platform != "win32":
    LEFT_TO_PARENT += (signal.SIGHUP,)
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class Worker(ForkServerProcess):
        """A process that leaves SIGTERM to its parent, so that it takes SIGKILL to end it."""

        def terminate(self) -> None:
            """End it at once."""
            self.kill()

    class WorkerContext(ForkServerContext):
        """Makes worker processes."""

        Process = Worker

    @atexit.register
    def end_workers() -> None:
        """End what works for a stream that nobody closed; Python would wait for it for ever."""
        for process in multiprocessing.active_children():
            if isinstance(process, Worker):
                process.kill()


def worker_context() -> BaseContext:
    """Return what makes worker processes: forks of one that has no threads.

    A fork of this process could copy a lock that another of its threads holds, and wait for ever.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = WorkerContext()
    context.set_forkserver_preload([name for name in sys.modules if name.startswith("deepres.")])
    if threading.current_thread() is threading.main_thread():
        # Signals are the run's to answer; the server, and the workers with it, inherits that.
        before = {each: signal.signal(each, signal.SIG_IGN) for each in LEFT_TO_PARENT}
        forkserver.ensure_running()
        for each, handler in before.items():
            signal.signal(each, handler)
    return context


def start_worker(number: int = 0) -> None:
    """Begin a worker process: leave signals to its parent, and end when that is gone.

    Ctrl-C and torchrun reach workers too; the parent lets its step end, and needs them for that.
    """
    for each in (signal.SIGINT, *LEFT_TO_PARENT):
        signal.signal(each, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed; nothing else would."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
