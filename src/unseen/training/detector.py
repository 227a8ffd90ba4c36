"""The action detector A alone, on frames that were anonymized before it sees them."""

import math
from collections.abc import Callable

import torch

from unseen.data.action_frames import ActionFrames, ActionPicture
from unseen.data.codec import Image
from unseen.face_config import FaceRunConfig
from unseen.models.action_detector import ActionDetector, Actions
from unseen.progress import progress
from unseen.training.batches import Order
from unseen.training.gradients import clip_gradients
from unseen.training.state import running_mean
from unseen.types import to_clips


def train_detector(
    config: FaceRunConfig,
    frames: ActionFrames,
    shown: Callable[[ActionPicture], Image],
    device: torch.device | str,
) -> ActionDetector:
    """A of a configuration, trained as long as in its game, T1 + T2 steps, on frames as shown.

    Ren18 trains the detectors of its baselines in the same way as its own, behind another
    modification (3.1). Frames are shown anew each time, so that a random anonymizer is drawn anew.

    Args:
        config: which detector, and how it learns; step sizes fall once, after `train.lr_drop` of
            all steps.
        frames: to learn from.
        shown: what A sees of a frame; draws from PyTorch's global generator.
        device: where A is.

    Returns:
        The detector, in evaluation mode.

    Raises:
        RunError: the training diverged.
    """
    train = config.train
    torch.manual_seed(train.seed)
    detector = ActionDetector(config.detector, frames.classes, config.data.short_side).to(device)
    detector.train()
    adam = torch.optim.Adam(
        detector.parameters(), train.lr_detector, betas=(train.beta1, train.beta2)
    )
    steps = train.steps + train.finish
    fall = torch.optim.lr_scheduler.MultiStepLR(adam, [round(train.lr_drop * steps)])
    order = Order(len(frames), train.frames, train.seed + 1)
    mean = math.nan
    with progress(steps, "action detector", "step") as bar:
        for step in range(steps):
            torch.manual_seed(train.seed * 1_000_003 + step)
            pictures = [frames[int(k)] for k in order.at(step)]
            seen = [to_clips(shown(each)[None, None], device)[0, :, 0] for each in pictures]
            loss = detector.loss(seen, [Actions.of(each, device) for each in pictures])
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            clip_gradients([detector])
            adam.step()
            fall.step()
            mean = running_mean(mean, float(loss.detach()))
            bar.update(1)
            bar.set_postfix_str(f"L_A {mean:.2f}", refresh=False)
    return detector.eval()
