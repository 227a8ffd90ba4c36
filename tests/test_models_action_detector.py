"""Faster R-CNN as the action detector: its losses, labels and published backbone."""

import pytest
import torch
from torch import nn

from unseen.errors import UnknownNameError
from unseen.models.action_detector import ActionDetector, Actions

FRAMES = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
ACTIONS = [
    Actions(torch.tensor([[10.0, 2.0, 50.0, 46.0]]), torch.tensor([0])),
    Actions(torch.tensor([[5.0, 5.0, 30.0, 40.0], [30.0, 8.0, 60.0, 44.0]]), torch.tensor([1, 2])),
]


def _detector(classes: int = 3) -> ActionDetector:
    torch.manual_seed(0)
    return ActionDetector("faster-rcnn-small:2", classes, 48)


def test_the_loss_is_the_sum_of_torchvisions_four() -> None:
    detector = _detector().train()
    torch.manual_seed(1)
    loss = detector.loss(FRAMES, ACTIONS)
    torch.manual_seed(1)
    targets = [{"boxes": a.boxes, "labels": a.labels + 1} for a in ACTIONS]
    parts = detector.net(list(FRAMES), targets)
    assert len(parts) == 4
    torch.testing.assert_close(loss, sum(parts.values()))


def test_the_loss_has_a_gradient_for_frames_and_weights() -> None:
    detector = _detector().train()
    frames = FRAMES.clone().requires_grad_()
    detector.loss(frames, ACTIONS).backward()  # type: ignore[no-untyped-call]
    assert frames.grad is not None
    assert frames.grad.abs().sum() > 0
    assert all(p.grad is not None for p in detector.parameters())


def test_it_learns_a_box_and_its_label() -> None:
    detector = _detector(2).train()
    adam = torch.optim.Adam(detector.parameters(), 2e-3)
    frames = torch.zeros(1, 3, 48, 64)
    frames[:, 0, 8:40, 12:44] = 1.0
    wanted = Actions(torch.tensor([[12.0, 8.0, 44.0, 40.0]]), torch.tensor([1]))
    for _ in range(60):
        adam.zero_grad()
        detector.loss(frames, [wanted]).backward()  # type: ignore[no-untyped-call]
        adam.step()
    detector.eval()
    with torch.no_grad():
        found = detector(frames)[0]
    best = found["scores"].argmax()
    assert found["labels"][best] == 1
    assert (found["boxes"][best] - wanted.boxes[0]).abs().max() < 6


def test_a_frame_without_actions_can_be_learned_from() -> None:
    nothing = Actions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert torch.isfinite(_detector().train().loss(FRAMES[:1], [nothing]))


def test_the_papers_backbone_is_resnet_101() -> None:
    with torch.device("meta"):
        detector = ActionDetector("faster-rcnn-resnet101", 10, 600)
    body = detector.net.backbone.body
    # One stem, 3 + 4 + 23 + 3 blocks of three, four shortcuts.
    assert sum(isinstance(m, nn.Conv2d) for m in body.modules()) == 1 + 33 * 3 + 4
    assert detector.net.transform.min_size == (600,)
    assert detector.net.transform.max_size == 800
    assert detector.net.roi_heads.box_predictor.cls_score.out_features == 11
    assert all(p.requires_grad for p in detector.parameters())


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown action detector 'ssd'"):
        ActionDetector("ssd", 2, 48)
