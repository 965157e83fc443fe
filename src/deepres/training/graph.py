"""A training step as one CUDA graph: recorded once, then replayed without the host's help."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARM_UP_CALLS = 3
"""What PyTorch advises: libraries choose and load their kernels before the recording."""


class GraphedStep:
    """Calls ``step`` by replaying what it did the first time.

    A step of a small network has hundreds of kernels of a few microseconds, which the host
    launches more slowly than the device runs them. A graph is launched as one.

    Args:
        step: works on the device alone: it reads its inputs and ``changing``, changes
            ``changing`` in place and returns one tensor, whatever the inputs are.
        changing: the tensors that persist from step to step.
    """

    def __init__(self, step: Callable[..., Tensor], changing: Iterable[Tensor]) -> None:
        self._step = step
        self._changing = list(changing)
        self._inputs: tuple[Tensor, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._outcome = torch.empty(0)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take the step; what it returns is overwritten by the next call."""
        if self._graph is None:
            self._record(inputs)
        if [x.shape for x in inputs] != [x.shape for x in self._inputs]:
            return self._step(*inputs)  # a batch that lost images
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)
        assert self._graph is not None
        self._graph.replay()
        return self._outcome

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(x.clone() for x in inputs)
        before = [x.detach().clone() for x in self._changing]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self._step(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outcome = self._step(*self._inputs)
        with torch.no_grad():
            torch._foreach_copy_(self._changing, before)
