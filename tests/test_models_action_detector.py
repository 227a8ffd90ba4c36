"""Faster R-CNN as the action detector: its losses, labels and published backbone."""

from pathlib import Path

import pytest
import torch
from torch import nn

from unseen.errors import UnknownNameError, WeightsError
from unseen.models.action_detector import ActionDetector, Actions, load_detector, save_detector

FRAMES = list(torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)))
NAMES = ("walk", "run", "sit")
ACTIONS = [
    Actions(torch.tensor([[10.0, 2.0, 50.0, 46.0]]), torch.tensor([0])),
    Actions(torch.tensor([[5.0, 5.0, 30.0, 40.0], [30.0, 8.0, 60.0, 44.0]]), torch.tensor([1, 2])),
]


def _detector(classes: int = 3) -> ActionDetector:
    torch.manual_seed(0)
    return ActionDetector("faster-rcnn-small:2", NAMES[:classes], 48)


def test_the_loss_is_the_sum_of_torchvisions_four() -> None:
    detector = _detector().train()
    torch.manual_seed(1)
    loss = detector.loss(FRAMES, ACTIONS)
    torch.manual_seed(1)
    targets = [{"boxes": a.boxes, "labels": a.labels + 1} for a in ACTIONS]
    parts = detector.net(FRAMES, targets)
    assert len(parts) == 4
    torch.testing.assert_close(loss, sum(parts.values()))


def test_the_loss_has_a_gradient_for_frames_and_weights() -> None:
    detector = _detector().train()
    frames = torch.stack(FRAMES).requires_grad_()
    detector.loss(list(frames), ACTIONS).backward()  # type: ignore[no-untyped-call]
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
        detector.loss(list(frames), [wanted]).backward()  # type: ignore[no-untyped-call]
        adam.step()
    detector.eval()
    with torch.no_grad():
        found = detector(list(frames))[0]
    best = found["scores"].argmax()
    assert found["labels"][best] == 1
    assert (found["boxes"][best] - wanted.boxes[0]).abs().max() < 6


def test_a_frame_without_actions_can_be_learned_from() -> None:
    nothing = Actions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert torch.isfinite(_detector().train().loss(FRAMES[:1], [nothing]))


def test_frames_of_a_batch_may_be_of_different_sizes() -> None:
    detector = _detector().eval()
    small, large = FRAMES[0], torch.rand(3, 96, 80)
    with torch.no_grad():
        together = detector([small, large])
        alone = [detector([frame])[0] for frame in (small, large)]
    for one, other in zip(together, alone, strict=True):
        assert len(one["scores"]) == len(other["scores"])
    torch.manual_seed(0)
    assert torch.isfinite(detector.train().loss([small, large], ACTIONS))


def test_a_saved_detector_is_the_same(tmp_path: Path) -> None:
    detector = _detector().eval()
    save_detector(detector, tmp_path)
    read = load_detector(tmp_path)
    assert (read.name, read.classes, read.short_side) == (detector.name, NAMES, 48)
    with torch.no_grad():
        assert torch.equal(read(FRAMES)[0]["scores"], detector(FRAMES)[0]["scores"])
    about = tmp_path / "detector.json"
    about.write_text(about.read_text().replace('"sit"', '"sit", "lie"'))
    with pytest.raises(WeightsError, match=r"action detector in .* is damaged"):
        load_detector(tmp_path)
    with pytest.raises(WeightsError, match="holds no action detector"):
        load_detector(tmp_path / "none")


def test_the_papers_backbone_is_resnet_101() -> None:
    with torch.device("meta"):
        detector = ActionDetector("faster-rcnn-resnet101", [str(n) for n in range(10)], 600)
    body = detector.net.backbone.body
    # One stem, 3 + 4 + 23 + 3 blocks of three, four shortcuts.
    assert sum(isinstance(m, nn.Conv2d) for m in body.modules()) == 1 + 33 * 3 + 4
    assert detector.net.transform.min_size == (600,)
    assert detector.net.transform.max_size == 800
    assert detector.net.roi_heads.box_predictor.cls_score.out_features == 11
    assert all(p.requires_grad for p in detector.parameters())


@pytest.mark.parametrize(
    ("short_side", "frame", "seen"),
    [(340, (240, 320), (340, 453)), (600, (480, 640), (600, 800)), (600, (720, 1280), (450, 800))],
)
def test_frames_get_the_papers_size(
    short_side: int, frame: tuple[int, int], seen: tuple[int, int]
) -> None:
    """Ren18 4: 340 pixels on the short side for JHMDB, 600 x 800 for DALY."""
    detector = ActionDetector("faster-rcnn-small:8", ["one"], short_side)
    images, _ = detector.net.transform([torch.zeros(3, *frame)])
    assert images.image_sizes == [seen]


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown action detector 'ssd'"):
        ActionDetector("ssd", NAMES, 48)
