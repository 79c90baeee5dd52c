"""Operations in the way that takes least time: in the memory of an operand, or in another precision."""

import torch
import torch.nn.functional as F
from torch import Tensor


def plus(y: Tensor, x: Tensor) -> Tensor:
    """Return y + x, in the memory of y if the types are the same.

    Args:
        y: what no backward pass reads, as the output of a matrix product or a convolution.
        x: broadcasts to y (inside `torch.vmap`, too: map over y, or over both).
    """
    return y.add_(x) if y.dtype == x.dtype else y + x


def silu(x: Tensor) -> Tensor:
    """Return SiLU of x, in its memory if no gradient is asked for: a backward pass would read x."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) v of tensors (B, heads, N, D).

    On a CPU in float32 whatever autocast says: bfloat16 takes up to four times as long there.
    """
    if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    return F.scaled_dot_product_attention(q, k, v)


def halve(x: Tensor) -> Tensor:
    """Return the mean of 2x2 pixels of x (B, C, H, W) as (B, C, H / 2, W / 2).

    Without a gradient by sums on a CPU, to the same bits, for which `avg_pool2d` takes four times as long.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_grad_enabled():
        return F.avg_pool2d(x, 2)
    upper, lower = x[..., ::2, :], x[..., 1::2, :]
    total = (upper[..., ::2] + upper[..., 1::2]).add_(lower[..., ::2]).add_(lower[..., 1::2])
    return total.div_(4)
