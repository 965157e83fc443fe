"""What PyTorch's errors mean to a user."""

import re

import torch
import torch.distributed as dist

MEMORY_FULL = "the device's memory is full"
NO_MORE_MEMORY = (
    "DefaultCPUAllocator",
    "Cannot allocate memory",
    "CUDA error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What errors say that have no class of their own: the main memory is full, or the device's."""
WORKER_DIED = "a process that decodes images died; if memory was short, take fewer --workers"
ANOTHER_DIED = "another process of this run died"


def in_words(error: RuntimeError | MemoryError) -> str:
    """Return what ``error`` says of the machine, and not of the program; else nothing."""
    if is_of_memory(error):
        return MEMORY_FULL
    if "DataLoader worker" in str(error):
        return WORKER_DIED
    if dist.is_initialized() and "connection" in str(error).lower():
        return ANOTHER_DIED
    return ""


def memory_was_full(error: Exception, size: int) -> bool:
    """Tell whether ``error`` is of the machine, and says nothing about the file that was read.

    Args:
        error: of whoever read it.
        size: the file's bytes. A damaged one can ask for more than it holds, a whole one cannot.
    """
    asked = re.search(r"you tried to allocate (\d+) bytes", str(error))
    return is_of_memory(error) and (asked is None or int(asked[1]) <= size)


def is_of_memory(error: Exception) -> bool:
    """Tell whether ``error`` says that memory is full, the device's or the main one."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in NO_MORE_MEMORY)
