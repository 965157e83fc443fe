"""Batch normalisation folded into the convolutions before it, for inference."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deepres.models.stages import StagedNetwork


def fold_batch_norm(network: StagedNetwork) -> None:
    """Give every convolution the scale and shift of the BN after it, in place.

    With BN's statistics fixed it is affine, so the outputs are the same to rounding. The network
    must be in evaluation mode; it can be trained and saved no more.
    """
    modules = dict(network.named_modules())
    for name, batch_norm in modules.items():
        if isinstance(batch_norm, nn.BatchNorm2d):
            parent_name, _, own_name = name.rpartition(".")
            # bn2 follows conv2; in a projection shortcut, a sequence, 1 follows 0
            before = own_name.replace("bn", "conv") if "bn" in own_name else str(int(own_name) - 1)
            parent = modules[parent_name]
            convolution = parent.get_submodule(before)
            assert isinstance(convolution, nn.Conv2d)
            setattr(parent, before, fuse_conv_bn_eval(convolution, batch_norm))
            setattr(parent, own_name, nn.Identity())
