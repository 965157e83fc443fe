import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepres
from deepres.training.activation_checkpointing import checkpoint_blocks
from deepres.training.mixed_precision import InBf16


def held(network: nn.Module, images: torch.Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(images)
    del logits
    return sum(kept.values())


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", ["resnet20", "plain20", "highway19"])
def test_the_same_bits_for_less_memory(name: str, bf16: bool) -> None:
    torch.manual_seed(0)
    check_the_same(deepres.create_model(name), bf16=bf16)


def test_averages_that_processes_share_move_once_too() -> None:
    torch.manual_seed(0)
    check_the_same(nn.SyncBatchNorm.convert_sync_batchnorm(deepres.create_model("resnet20")))


def check_the_same(plain: nn.Module, *, bf16: bool = False) -> None:
    saving = copy.deepcopy(plain)
    checkpoint_blocks(saving)
    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))
    for network in (plain, saving):
        computing = InBf16(network) if bf16 else network
        F.cross_entropy(computing(images).float(), labels).backward()
    for (name, a), b in zip(
        plain.state_dict().items(), saving.state_dict().values(), strict=True
    ):  # BN's averages have moved once
        assert torch.equal(a, b), name
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert held(saving, images) < 0.5 * held(plain, images)
