"""Several processes as one: torchrun starts them, and each takes its share of every batch."""

import gc
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deepres.errors import UserError
from deepres.runtime import resolve_device
from deepres.torchrun import check_environment, number_of_processes

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees it. Alone, every method is the identity."""

    rank: int = 0
    """Which of them this is; 0 is the leader, who alone speaks and writes."""
    size: int = 1

    @property
    def leader(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """Return which of ``count`` items are this process's; ``size`` divides ``count``."""
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of all processes' ``tensor``, in its place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def max(self, *values: int) -> list[int]:
        """Return the greatest that any process gives, for each of ``values``."""
        tensor = torch.tensor(values)
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite each of ``tensors`` with the leader's."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def broadcast_object(self, value: T) -> T:
        """Return what the leader gives as ``value``, anything that can be pickled."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def sharing_gradients(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Wrap ``network`` so that a backward pass takes the mean gradient of all processes.

        All begin with the leader's weights and statistics; those of BN are each one's own from then
        on.
        """
        if self.size == 1:
            return network
        sharing = DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )
        # PyTorch 2.11 has no other name for it, and from 2.13 on warns of it as an argument.
        sharing.broadcast_buffers = False
        return sharing

    def wait_for_leader(self) -> None:
        """Wait until the leader has come here."""
        self.broadcast_object(None)

    def gather(self, value: T) -> list[T]:
        """Return what each process gives as ``value``, anything that can be pickled, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


ALONE = World()


def join_world(device_name: str) -> tuple[World, torch.device]:
    """Return the processes that torchrun started, or this one alone, and this one's device.

    Messages go by NCCL between GPUs and by Gloo between CPUs.

    Args:
        device_name: as for ``resolve_device``; of several processes on a machine with GPUs, each
            takes its own.

    Raises:
        UserError: there is no such device, or there are fewer GPUs than processes.
    """
    check_environment()
    device = resolve_device(device_name)
    if number_of_processes() == 1:
        return ALONE, device
    if device.type == "cuda":
        place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= gpus:
            raise UserError(
                f"{os.environ['LOCAL_WORLD_SIZE']} processes were started on a machine with {gpus} "
                "GPUs; give torchrun --nproc-per-node no more than that"
            )
        device = torch.device("cuda", place)
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # DistributedDataParallel imports it later on, when its functions' default arguments would
        # keep the processes' group, and its threads, past leave_world.
        import_module("torch.distributed.nn.functional")
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return World(dist.get_rank(), dist.get_world_size()), device


def leave_world() -> None:
    """Take leave of the other processes, at the end of the program.

    A network that shares gradients holds their group, and Gloo's threads end with it; one of them
    that still runs while Python ends may abort the process.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()
