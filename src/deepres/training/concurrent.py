"""Several runs at once: a step of each in turn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from deepres.training.interrupt import Interrupted, StopRequest, stop_on_signals


def run_concurrently(
    loops: Sequence[Callable[[StopRequest], Iterator[None]]],
    device: torch.device,
) -> None:
    """Bring all loops to their ends, a step of each in turn.

    On CUDA each of several has a stream of its own, so that the kernels of one run fill the
    device's pauses between those of another.

    Args:
        loops: each gets the request to stop, and pauses after each of its steps.
        device: where they compute.

    Raises:
        Interrupted: a signal asked for a stop; the states of all that had not failed are saved.
        Exception: whatever one of them raised, the first to do so; the others came to their ends.
    """
    stopped: dict[Iterator[None], Interrupted] = {}
    failed: list[Exception] = []
    with stop_on_signals() as stop:
        begun = [loop(stop) for loop in loops]
        going = {loop: _own_stream(device, len(loops)) for loop in begun}
        while going:
            for loop, on_its_stream in list(going.items()):
                try:
                    with on_its_stream:
                        next(loop)
                    continue
                except StopIteration:
                    pass
                except Interrupted as request:
                    stopped[loop] = request
                except Exception as error:
                    failed.append(error)
                del going[loop]
    if stopped:
        in_order = [stopped[loop] for loop in begun if loop in stopped]  # the later may stop first
        runs = [run for request in in_order for run in request.runs]
        first = in_order[0]
        raise Interrupted(first.signal_number, first.step, *runs, command=first.command)
    if failed:
        raise failed[0]


def _own_stream(device: torch.device, loops: int) -> AbstractContextManager[object]:
    if device.type != "cuda" or loops == 1:
        return nullcontext()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))  # the data are on their way
    return torch.cuda.stream(stream)
