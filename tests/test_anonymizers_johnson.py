"""Johnson's network: published size, shapes, padding."""

import pytest
import torch
from torch import nn

from unseen.anonymizers.johnson import JohnsonNet, _Wide


def test_published_parameter_count() -> None:
    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + outputs

    def normalised(inputs: int, outputs: int, kernel: int) -> int:
        return convolution(inputs, outputs, kernel) + 2 * outputs

    expected = normalised(3, 32, 9) + normalised(32, 64, 3) + normalised(64, 128, 3)
    expected += 10 * normalised(128, 128, 3)
    expected += normalised(128, 64, 3) + normalised(64, 32, 3) + convolution(32, 3, 9)
    assert sum(p.numel() for p in JohnsonNet().parameters()) == expected == 1_679_235


def test_layers_in_order() -> None:
    layers = [m for m in JohnsonNet(64, 9).modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers] == [
        *((64, 9, 1), (128, 3, 2), (256, 3, 2)),
        *((256, 3, 1),) * 18,
        *((128, 3, 1), (64, 3, 1), (3, 9, 1)),
    ]


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (3, 9), (8, 8), (13, 6), (47, 49), (48, 64), (33, 18)]
)
def test_any_size_keeps_shape_and_range(height: int, width: int) -> None:
    torch.manual_seed(0)
    net = JohnsonNet(4, 1)
    frames = torch.rand(2, 3, height, width)
    transformed = net(frames)
    assert transformed.shape == frames.shape
    assert transformed.min() >= 0
    assert transformed.max() <= 1


def test_odd_sizes_are_lengthened_by_the_edge_and_cut_back() -> None:
    torch.manual_seed(0)
    net = JohnsonNet(4, 1)
    frames = torch.rand(1, 3, 14, 19)
    rows = torch.cat([frames, frames[:, :, -1:], frames[:, :, -1:]], 2)
    whole = torch.cat([rows, rows[..., -1:]], 3)
    assert whole.shape[-2:] == (16, 20)
    torch.testing.assert_close(net(frames), net(whole)[..., :14, :19])


def test_output_is_half_tanh_plus_half() -> None:
    torch.manual_seed(0)
    net = JohnsonNet(4, 1)
    frames = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(net(frames), 0.5 * torch.tanh(net.net(frames)) + 0.5)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    net = JohnsonNet(4, 2)
    (net(torch.rand(2, 3, 21, 16)) * torch.rand(2, 3, 21, 16)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_it_can_reconstruct_its_input() -> None:
    torch.manual_seed(0)
    net = JohnsonNet(8, 1)
    frames = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4), (16, 16), mode="bilinear")
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    before = (net(frames) - frames).square().mean().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = (net(frames) - frames).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < before / 5


def test_wide_convolutions_are_convolutions() -> None:
    torch.manual_seed(0)
    ours = [module for module in JohnsonNet(8, 1).modules() if isinstance(module, _Wide)]
    assert [(layer.in_channels, layer.out_channels) for layer in ours] == [(3, 8), (8, 3)]
    for layer in ours:
        plain = torch.nn.Conv2d(layer.in_channels, layer.out_channels, 9)
        plain.load_state_dict(layer.state_dict())
        x = torch.rand(2, layer.in_channels, 12, 14, requires_grad=True)
        weight = torch.randn(2, layer.out_channels, 4, 6)
        found, wanted = ((weight * one(x)).sum() for one in (layer, plain))
        torch.testing.assert_close(found, wanted)
        for a, b in zip(
            torch.autograd.grad(found, [x, *layer.parameters()]),
            torch.autograd.grad(wanted, [x, *plain.parameters()]),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
