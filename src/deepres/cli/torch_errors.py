"""What PyTorch's errors mean to a user."""

import torch
import torch.distributed as dist

MEMORY_FULL = "the device's memory is full"
CPU_MEMORY_FULL = "DefaultCPUAllocator"
"""What PyTorch's error names that has no class of its own: the main memory is full."""
WORKER_DIED = "a process that decodes images died; if memory was short, take fewer --workers"
ANOTHER_DIED = "another process of this run died"


def in_words(error: RuntimeError | MemoryError) -> str:
    """Return what ``error`` says of the machine, and not of the program; else nothing."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_MEMORY_FULL in str(error):
        return MEMORY_FULL
    if "DataLoader worker" in str(error):
        return WORKER_DIED
    if dist.is_initialized() and "connection" in str(error).lower():
        return ANOTHER_DIED
    return ""
