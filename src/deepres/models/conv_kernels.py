# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"
"""Triton kernels for the training of §4.2's networks: each 3×3 layer with the BN around it.

A layer's kernel normalises what the layer below left, and leaves its own output raw, with the
moments of a part of it for each program: whoever reads them joins them first, in one order, so that
the bits are the same each time. The backward pass has the same shape. In between, nothing is
launched for BN, ReLU or shortcuts.

A program has some images of its own, whatever the layer. So it can write what it normalised, and
read that nine times, as the taps of the filters, with no other program to wait for.

Loads that run ahead are asynchronous copies. Those of 16 bytes pass by the L1 cache, where the nine
taps of an image would meet; those of 8 do not. A copy is as wide as its mask is known to be the
same: ``vector`` channels, by a mask that is always true.

Activations are matrices: rows are pixels (N·H·W), columns channels. A tile is a map or a whole
fraction of one, so that only the border of a map needs a mask.
"""

import triton
import triton.language as tl

NO_SHORTCUT, IDENTITY, OPTION_A = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
"""What is added before ReLU."""


@triton.jit
def joined_batch_norm(
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    momentum,
    eps,
    rows,
    rows_a_part,
    c: tl.constexpr,
    parts: tl.constexpr,
):
    """Join the parts' moments; return BN's factor and summand, and let one program keep them."""
    channel = tl.arange(0, c)
    part = tl.arange(0, parts)
    count = tl.minimum(tl.maximum(rows - part * rows_a_part, 0), rows_a_part).to(tl.float32)
    summed = (count > 0)[:, None]
    at = part[:, None] * c + channel[None, :]
    means = tl.load(moments + at, mask=summed, other=0.0)
    m2 = tl.load(moments + parts * c + at, mask=summed, other=0.0)
    mean = tl.sum(means * count[:, None], 0) / rows
    deviation = means - mean[None, :]
    m2 = tl.sum(m2 + deviation * deviation * count[:, None], 0)
    rstd = 1.0 / tl.sqrt(m2 / rows + eps)
    factor = tl.load(weight + channel) * rstd
    if tl.program_id(0) == 0:
        tl.store(statistics + channel, mean)
        tl.store(statistics + c + channel, rstd)
        tl.store(statistics + 2 * c + channel, factor)
        old = tl.load(running_mean + channel)
        tl.store(running_mean + channel, old + momentum * (mean - old))
        old = tl.load(running_var + channel)
        tl.store(running_var + channel, old + momentum * (m2 / (rows - 1) - old))
        tl.store(batches_tracked, tl.load(batches_tracked) + 1)
    return factor, tl.load(bias + channel) - mean * factor


@triton.jit
def activated(
    raw, shortcut, factor, summand, pixel, side: tl.constexpr, c: tl.constexpr, adds: tl.constexpr
):
    """relu(BN(raw) + shortcut) of some pixels."""
    channel = tl.arange(0, c)
    at = pixel[:, None] * c + channel[None, :]
    y = tl.load(raw + at).to(tl.float32) * factor[None, :] + summand[None, :]
    if adds == IDENTITY:
        y += tl.load(shortcut + at).to(tl.float32)
    if adds == OPTION_A:
        twice = 4 * pixel - 2 * (pixel % side)  # the same place in a map of twice the side
        at = twice[:, None] * (c // 2) + channel[None, :]
        y += tl.load(shortcut + at, mask=(channel < c // 2)[None, :], other=0.0).to(tl.float32)
    return tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL).to(raw.dtype.element_ty)


@triton.jit
def forward_kernel(
    below_raw,
    shortcut,
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    momentum,
    eps,
    below_activation,
    filters,
    stride_out,
    stride_in,
    stride_y,
    stride_x,
    raw,
    raw_moments,
    images,
    images_a_part,
    is_image: tl.constexpr,
    adds: tl.constexpr,
    side: tl.constexpr,
    stride: tl.constexpr,
    inputs: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    parts: tl.constexpr,
    m_in: tl.constexpr,
    m_out: tl.constexpr,
    vector: tl.constexpr,
):
    """Activate the layer below, convolve, and take the moments of the outcome.

    ``side`` is that of the maps below, of which ``inputs`` channels of ``c_in`` are real. Images
    are an activation already.
    """
    channel, out_channel = tl.arange(0, c_in), tl.arange(0, c_out)
    first_image = tl.program_id(0) * images_a_part
    end_image = tl.minimum(first_image + images_a_part, images)
    if not is_image:
        pixels: tl.constexpr = side * side
        factor, summand = joined_batch_norm(
            moments,
            weight,
            bias,
            statistics,
            running_mean,
            running_var,
            batches_tracked,
            momentum,
            eps,
            images * pixels,
            images_a_part * pixels,
            c_in,
            parts,
        )
        for start in range(first_image * pixels, end_image * pixels, m_in):
            pixel = start + tl.arange(0, m_in)
            tile = activated(below_raw, shortcut, factor, summand, pixel, side, c_in, adds)
            tl.store(below_activation + pixel[:, None] * c_in + channel[None, :], tile)
        tl.debug_barrier()  # all threads read what the others wrote

    out_side: tl.constexpr = side // stride
    mean = tl.zeros([c_out], tl.float32)
    m2 = tl.zeros([c_out], tl.float32)
    first = first_image * out_side * out_side
    for start in range(first, end_image * out_side * out_side, m_out):
        pixel = start + tl.arange(0, m_out)
        x, y = pixel % out_side, pixel // out_side % out_side
        centre = stride * (stride * pixel - (stride - 1) * x)  # of the window, in the map below
        total = tl.zeros([m_out, c_out], tl.float32)
        for tap in range(9):
            down, right = tap // 3 - 1, tap % 3 - 1
            row, column = stride * y + down, stride * x + right
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
            at = (centre + down * side + right)[:, None] * c_in + channel[None, :]
            together = (channel // vector < c_in // vector)[None, :]
            tile = tl.load(below_activation + at, mask=inside[:, None] & together, other=0.0)
            at = channel[:, None] * stride_in + out_channel[None, :] * stride_out
            at += tap // 3 * stride_y + tap % 3 * stride_x
            taps = tl.load(filters + at, mask=(channel < inputs)[:, None], other=0.0)
            total = tl.dot(tile, taps, total, input_precision="ieee")
        rounded = total.to(raw.dtype.element_ty)
        tl.store(raw + pixel[:, None] * c_out + out_channel[None, :], rounded)
        total = rounded.to(tl.float32)
        tile_mean = tl.sum(total, 0) / m_out
        deviation = total - tile_mean[None, :]
        # Chan's rule for joining the moments of two samples
        before = (start - first).to(tl.float32)
        delta = tile_mean - mean
        mean += delta * (m_out / (before + m_out))
        m2 += tl.sum(deviation * deviation, 0) + delta * delta * (before * m_out / (before + m_out))
    at = tl.program_id(0) * c_out + out_channel
    tl.store(raw_moments + at, mean)
    tl.store(raw_moments + parts * c_out + at, m2)


@triton.jit
def pool_kernel(
    raw,
    shortcut,
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    momentum,
    eps,
    activation,
    pooled,
    images,
    images_a_part,
    adds: tl.constexpr,
    side: tl.constexpr,
    c: tl.constexpr,
    parts: tl.constexpr,
):
    """Activate the last layer, and average it over each map."""
    pixels: tl.constexpr = side * side
    factor, summand = joined_batch_norm(
        moments,
        weight,
        bias,
        statistics,
        running_mean,
        running_var,
        batches_tracked,
        momentum,
        eps,
        images * pixels,
        images_a_part * pixels,
        c,
        parts,
    )
    channel = tl.arange(0, c)
    first = tl.program_id(0) * images_a_part
    for image in range(first, tl.minimum(first + images_a_part, images)):
        pixel = image * pixels + tl.arange(0, pixels)
        tile = activated(raw, shortcut, factor, summand, pixel, side, c, adds)
        tl.store(activation + pixel[:, None] * c + channel[None, :], tile)
        tl.store(pooled + image * c + channel, tl.sum(tile.to(tl.float32), 0) / pixels)


@triton.jit
def through_relu(gradient, raw, activation, statistics, dz, at, c: tl.constexpr):
    """Write ReLU's gradient dz; sum it, and it times the normalised output, over a tile."""
    channel = tl.arange(0, c)
    mean, rstd = tl.load(statistics + channel), tl.load(statistics + c + channel)
    stopped = tl.load(activation + at).to(tl.float32) <= 0.0  # NaN is not
    rounded = tl.where(stopped, 0.0, gradient).to(dz.dtype.element_ty)
    tl.store(dz + at, rounded)
    gradient = rounded.to(tl.float32)
    x = (tl.load(raw + at).to(tl.float32) - mean[None, :]) * rstd[None, :]
    return tl.sum(gradient, 0), tl.sum(gradient * x, 0)


@triton.jit
def pool_gradient_kernel(
    pooled_gradient,
    raw,
    activation,
    statistics,
    dz,
    sums,
    images,
    images_a_part,
    side: tl.constexpr,
    c: tl.constexpr,
    parts: tl.constexpr,
):
    """From the gradient of the pooled features, that of the last layer before ReLU."""
    pixels: tl.constexpr = side * side
    channel = tl.arange(0, c)
    sum_dz = tl.zeros([c], tl.float32)
    sum_dzx = tl.zeros([c], tl.float32)
    first = tl.program_id(0) * images_a_part
    for image in range(first, tl.minimum(first + images_a_part, images)):
        at = (image * pixels + tl.arange(0, pixels))[:, None] * c + channel[None, :]
        gradient = tl.load(pooled_gradient + image * c + channel)[None, :] / pixels
        tile_dz, tile_dzx = through_relu(gradient, raw, activation, statistics, dz, at, c)
        sum_dz += tile_dz
        sum_dzx += tile_dzx
    at = tl.program_id(0) * c + channel
    tl.store(sums + at, sum_dz)
    tl.store(sums + parts * c + at, sum_dzx)


@triton.jit
def batch_norm_gradient_kernel(
    dz,
    raw,
    sums,
    statistics,
    batch_norm_gradient,
    raw_gradient,
    images,
    images_a_part,
    side: tl.constexpr,
    c: tl.constexpr,
    parts: tl.constexpr,
    m: tl.constexpr,
):
    """Join the parts' sums, then write the gradients of BN's input and of its parameters."""
    channel = tl.arange(0, c)
    part = tl.arange(0, parts)[:, None]
    summed = part * images_a_part < images
    part_at = part * c + channel[None, :]
    sum_dz = tl.sum(tl.load(sums + part_at, mask=summed, other=0.0), 0)
    sum_dzx = tl.sum(tl.load(sums + parts * c + part_at, mask=summed, other=0.0), 0)
    if tl.program_id(0) == 0:
        tl.store(batch_norm_gradient + channel, sum_dzx)
        tl.store(batch_norm_gradient + c + channel, sum_dz)

    mean, rstd = tl.load(statistics + channel), tl.load(statistics + c + channel)
    factor = tl.load(statistics + 2 * c + channel)
    rows = images * side * side
    of_raw = -factor * rstd * sum_dzx / rows
    summand = -factor * sum_dz / rows - of_raw * mean
    first = tl.program_id(0) * images_a_part
    end = tl.minimum(first + images_a_part, images)
    for start in range(first * side * side, end * side * side, m):
        at = (start + tl.arange(0, m))[:, None] * c + channel[None, :]
        tile = tl.load(raw + at).to(tl.float32) * of_raw[None, :] + summand[None, :]
        tile += tl.load(dz + at).to(tl.float32) * factor[None, :]
        tl.store(raw_gradient + at, tile.to(raw_gradient.dtype.element_ty))


@triton.jit
def input_gradient_kernel(
    dz,
    raw,
    sums,
    statistics,
    batch_norm_gradient,
    raw_gradient,
    filters,
    stride_out,
    stride_in,
    stride_y,
    stride_x,
    shortcut_dz,
    below_raw,
    below_activation,
    below_statistics,
    below_dz,
    below_sums,
    images,
    images_a_part,
    adds: tl.constexpr,
    side: tl.constexpr,
    stride: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    parts: tl.constexpr,
    m_in: tl.constexpr,
    m_out: tl.constexpr,
    vector: tl.constexpr,
):
    """From the gradient of a layer before ReLU, that of the layer below before its ReLU.

    ``side`` is that of the maps below.
    """
    channel, out_channel = tl.arange(0, c_in), tl.arange(0, c_out)
    out_side: tl.constexpr = side // stride
    batch_norm_gradient_kernel(
        dz,
        raw,
        sums,
        statistics,
        batch_norm_gradient,
        raw_gradient,
        images,
        images_a_part,
        out_side,
        c_out,
        parts,
        m_out,
    )
    tl.debug_barrier()  # all threads read what the others wrote

    sum_dz = tl.zeros([c_in], tl.float32)
    sum_dzx = tl.zeros([c_in], tl.float32)
    first = tl.program_id(0) * images_a_part
    end = tl.minimum(first + images_a_part, images)
    for start in range(first * side * side, end * side * side, m_in):
        pixel = start + tl.arange(0, m_in)
        x, y, image = pixel % side, pixel // side % side, pixel // (side * side)
        total = tl.zeros([m_in, c_in], tl.float32)
        for tap in range(9):
            row, column = y + 1 - tap // 3, x + 1 - tap % 3  # times the stride
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
            if stride == 2:
                inside &= (row % 2 == 0) & (column % 2 == 0)
            seen = (image * out_side + row // stride) * out_side + column // stride
            at = seen[:, None] * c_out + out_channel[None, :]
            together = (out_channel // vector < c_out // vector)[None, :]
            tile = tl.load(raw_gradient + at, mask=inside[:, None] & together, other=0.0)
            at = out_channel[:, None] * stride_out + channel[None, :] * stride_in
            at += tap // 3 * stride_y + tap % 3 * stride_x
            total = tl.dot(tile, tl.load(filters + at), total, input_precision="ieee")
        at = pixel[:, None] * c_in + channel[None, :]
        if adds == IDENTITY:
            total += tl.load(shortcut_dz + at).to(tl.float32)
        if adds == OPTION_A:
            half = (image * out_side + y // 2) * out_side + x // 2
            half_at = half[:, None] * c_out + channel[None, :]
            even = ((x % 2 == 0) & (y % 2 == 0))[:, None]
            total += tl.load(shortcut_dz + half_at, mask=even, other=0.0).to(tl.float32)
        tile_dz, tile_dzx = through_relu(
            total, below_raw, below_activation, below_statistics, below_dz, at, c_in
        )
        sum_dz += tile_dz
        sum_dzx += tile_dzx
    at = tl.program_id(0) * c_in + channel
    tl.store(below_sums + at, sum_dz)
    tl.store(below_sums + parts * c_in + at, sum_dzx)


@triton.jit
def weight_gradient_kernel(
    raw_gradient,
    rows,
    rows_a_part,
    below_activation,
    below_rows,
    partial,
    partial_stride,
    side: tl.constexpr,
    stride: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    m: tl.constexpr,
    vector: tl.constexpr,
):
    """The gradient of a row of filters over a part of the pixels, for layers of one shape.

    There is a program for each part, row of the filters and layer.
    """
    layer = tl.program_id(2).to(tl.int64)
    raw_gradient += layer * rows * c_out
    below_activation += layer * below_rows * c_in
    partial += layer * 9 * c_in * c_out + tl.program_id(0).to(tl.int64) * partial_stride

    out_channel = tl.arange(0, c_out)
    down = tl.program_id(1) - 1
    element = tl.arange(0, 4 * c_in)  # of three pixels in a row, and a fourth for a power of 2
    right = element // c_in - 1
    out_side: tl.constexpr = side // stride
    total = tl.zeros([4 * c_in, c_out], tl.float32)
    first = tl.program_id(0) * rows_a_part
    for start in range(first, tl.minimum(first + rows_a_part, rows), m):
        pixel = start + tl.arange(0, m)
        x, y = pixel % out_side, pixel // out_side % out_side
        row, column = stride * y + down, stride * x[None, :] + right[:, None]
        inside = ((row >= 0) & (row < side))[None, :] & (right < 2)[:, None]
        inside &= (column >= 0) & (column < side)
        inside &= (element // vector < 4 * c_in // vector)[:, None]
        left = stride * (stride * pixel - (stride - 1) * x) + down * side - 1
        at = left[None, :] * c_in + element[:, None]
        window = tl.load(below_activation + at, mask=inside, other=0.0)
        tile = tl.load(raw_gradient + pixel[:, None] * c_out + out_channel[None, :])
        total = tl.dot(window, tile, total, input_precision="ieee")
    at = out_channel[None, :] * (9 * c_in) + tl.program_id(1) * 3 * c_in + element[:, None]
    tl.store(partial + at, total, mask=(right < 2)[:, None])
