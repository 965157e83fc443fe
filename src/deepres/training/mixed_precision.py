"""Computing in bfloat16 with weights that stay float32."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class InBf16(nn.Module):
    """Runs ``network`` with bfloat16 activations, convolutions and linear layers.

    Weights, their gradients, momentum and all of BN's parameters and statistics stay float32. All
    weights are rounded in one launch, and all gradients widened in another; autocast takes two
    launches for each layer, which is a fifth of all that ResNet-20's step has.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        rounded = {
            f"{name}.{own_name}": weight
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
            for own_name, weight in module.named_parameters()
        }
        self._learning = [name for name, weight in rounded.items() if weight.requires_grad]
        self._frozen = [name for name, weight in rounded.items() if not weight.requires_grad]

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) float32 to logits (N, classes) bfloat16."""
        weights = [self.network.get_parameter(name) for name in self._learning]
        rounded = dict(zip(self._learning, _Rounded.apply(*weights), strict=True))
        # Through the function above they would need gradients, as all of its outputs do.
        rounded |= {name: self.network.get_parameter(name).bfloat16() for name in self._frozen}
        logits: Tensor = functional_call(self.network, rounded, (x.bfloat16(),))
        return logits


class _Rounded(torch.autograd.Function):
    """Float32 tensors as bfloat16, and their gradients back, each way in one launch."""

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> tuple[Tensor, ...]:
        rounded = [torch.empty_like(weight, dtype=torch.bfloat16) for weight in weights]
        torch._foreach_copy_(rounded, list(weights))
        return tuple(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        widened = [torch.empty_like(gradient, dtype=torch.float32) for gradient in gradients]
        torch._foreach_copy_(widened, list(gradients))
        return tuple(widened)
