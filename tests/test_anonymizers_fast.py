"""The fast network: what it sees, how far back, and how small it is."""

import pytest
import torch

from unseen.anonymizers.fast import FastNet
from unseen.models import macs, parameter_count


def _net(channels: int = 1, outputs: int = 1, width: int = 8, blocks: int = 2) -> FastNet:
    torch.manual_seed(0)
    net = FastNet(channels, outputs, width, blocks).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 30), (4, 4), (1, 9)])
@torch.no_grad()
def test_one_value_for_each_4_by_4_pixels(height: int, width: int) -> None:
    out, state = _net(3, 2).step(torch.rand(2, 3, 5, height, width), None)
    assert out.shape == (2, 2, 5, -(-height // 4), -(-width // 4))
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert len(state) == 2


@pytest.mark.parametrize("blocks", [1, 3])
@torch.no_grad()
def test_each_block_looks_two_frames_further_back(blocks: int) -> None:
    net = _net(blocks=blocks)
    clips = torch.rand(1, 1, 12, 16, 16)
    before, _ = net.step(clips, None)
    changed = clips.clone()
    changed[:, :, 2] = 1 - changed[:, :, 2]
    after, _ = net.step(changed, None)
    moved = (after - before).abs().amax((0, 1, 3, 4)) > 1e-7
    assert moved.nonzero().flatten().tolist() == list(range(2, 3 + 2 * blocks))


@torch.no_grad()
def test_before_a_video_its_first_frame_stood_still() -> None:
    net = _net(blocks=2)
    clips = torch.rand(1, 1, 6, 16, 16)
    lengthened = torch.cat([clips[:, :, :1].expand(-1, -1, 8, -1, -1), clips], 2)
    torch.testing.assert_close(net.step(lengthened, None)[0][:, :, 8:], net.step(clips, None)[0])


@torch.no_grad()
def test_edges_are_lengthened_by_repeating() -> None:
    net = _net()
    clips = torch.rand(1, 1, 3, 14, 13)
    padded = torch.nn.functional.pad(clips, (0, 3, 0, 2, 0, 0), mode="replicate")
    assert torch.equal(net.step(clips, None)[0], net.step(padded, None)[0])


class _Whole(torch.nn.Module):
    def __init__(self, net: FastNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net.step(clips, None)[0]
        return out


def test_cost_is_that_of_its_convolutions() -> None:
    channels, outputs, width, blocks = 3, 1, 32, 3
    net = FastNet(channels, outputs, width, blocks)
    a_block = (27 * width * width + width) + 2 * width
    ends = (9 * 16 * channels * width + width) + (9 * width * outputs + outputs)
    assert parameter_count(net) == blocks * a_block + ends
    cells = 12 * 12
    per_cell = 9 * 16 * channels * width + blocks * 27 * width * width + 9 * width * outputs
    assert macs(_Whole(net), torch.rand(1, channels, 1, 48, 48)) == cells * per_cell
