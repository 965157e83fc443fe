"""A training step as one CUDA graph: recorded once, then replayed without the host's help."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from deepres.errors import UserError, first_line
from deepres.torch_errors import in_words

Step = Callable[..., Tensor]
WARM_UP_CALLS = 3
"""What PyTorch advises: libraries choose and load their kernels before the recording."""


def cuda_graph(step: Step, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Record ``step(*inputs)``; return what replays it on the current stream.

    Raises:
        UserError: CUDA does not record it. Nothing says that PyTorch's allocator and random
            numbers are whole after that, so the run does not go on without a graph by itself.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_CALLS):
            step(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # cuBLAS has a workspace for each stream, and a graph goes on writing to that of its recording:
    # on the stream that is PyTorch's default, graphs that run side by side would share one.
    # Threads that load data may go on allocating meanwhile.
    try:
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            outcome = step(*inputs)
    except RuntimeError as error:
        # the end of a broken recording fails as well, by which the first error is its context
        first = error.__context__ if isinstance(error.__context__, RuntimeError) else error
        if in_words(first):
            raise first from None
        raise UserError(
            f"CUDA does not record the training step as a graph ({first_line(first)}); "
            "--no-fused-kernels takes it without"
        ) from error

    def replay() -> Tensor:
        graph.replay()
        return outcome

    return replay


class GraphedStep:
    """Calls ``step`` by replaying what it did with the first whole batch.

    A step of a small network has hundreds of kernels of a few microseconds, which the host
    launches more slowly than the device runs them. A graph is launched as one.

    Args:
        step: works on the device alone: it reads its inputs and ``changing``, changes
            ``changing`` in place and returns one tensor, whatever the inputs are.
        changing: the tensors that persist from step to step.
        record: makes the recording; it may take steps of its own before.
    """

    def __init__(
        self,
        step: Step,
        changing: Iterable[Tensor],
        record: Callable[[Step, tuple[Tensor, ...]], Callable[[], Tensor]] = cuda_graph,
    ) -> None:
        self._step = step
        self._changing = list(changing)
        self._record = record
        self._inputs: tuple[Tensor, ...] = ()
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take the step; the next call overwrites what it returns."""
        # The first batch may have lost images; a larger one is recorded instead.
        if self._replay is None or len(inputs[0]) > len(self._inputs[0]):
            self._inputs = tuple(x.clone() for x in inputs)
            before = [x.detach().clone() for x in self._changing]
            self._replay = self._record(self._step, self._inputs)
            with torch.no_grad():
                torch._foreach_copy_(self._changing, before)
        if [x.shape for x in inputs] != [x.shape for x in self._inputs]:
            return self._step(*inputs)  # a batch that lost images
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)
        return self._replay()
