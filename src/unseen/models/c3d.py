"""C3D, the papers' target model, in its published size and in one for a CPU."""

import torch
from torch import nn
from torch.nn import functional as F

from unseen.models.base import MODELS, ClipClassifier, ModelEntry, Request, Sees
from unseen.registry import Spec
from unseen.types import Clips, Logits

DEFAULT_WIDTH = 16

# Output channels; a number is a 3x3x3 convolution, a tuple the stride of a max pooling.
_LAYERS: tuple[int | tuple[int, int, int], ...] = (
    *(64, (1, 2, 2), 128, (2, 2, 2)),
    *(256, 256, (2, 2, 2), 512, 512, (2, 2, 2), 512, 512),
)


def _he_initialised(module: nn.Module) -> None:
    """Without normalisation layers, eight convolutions deep, PyTorch's default start vanishes."""
    if isinstance(module, nn.Conv3d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class C3D(ClipClassifier):
    """C3D (Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", 2015).

    Eight 3x3x3 convolutions, five poolings, two fully connected layers of 4096, dropout 0.5; made
    for clips of 16 frames of 112x112, the f_T of Wu18 4.1 and Wang19 3.2. Input is mapped from
    [0, 1] to [-1, 1].

    Differs from the paper: random weights (He et al. 2015) instead of Sports-1M's, unless a file is
    named (`c3d@FILE.safetensors`); other frame
    sizes and longer clips are average-pooled to the 1x4x4 cells that the first fully connected
    layer expects (no change at the published size), and clips under 16 frames are lengthened by
    repeating their last frame.
    """

    sees: Sees = "clip"

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for layer in _LAYERS:
            if isinstance(layer, tuple):
                layers.append(nn.MaxPool3d(layer))
            else:
                layers += [nn.Conv3d(channels, layer, 3, padding=1), nn.ReLU(inplace=True)]
                channels = layer
        layers.append(nn.MaxPool3d(2, padding=(0, 1, 1)))
        self.features = nn.Sequential(*layers)
        self.cells = nn.AdaptiveAvgPool3d((1, 4, 4))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 4 * 4, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, classes),
        )
        self.apply(_he_initialised)

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        missing = max(0, 16 - clips.shape[2])
        if missing:
            clips = F.pad(clips, (0, 0, 0, 0, 0, missing), mode="replicate")
        cells = self.cells(self.features(2.0 * clips - 1.0))
        logits: torch.Tensor = self.classifier(cells.flatten(1))
        return logits


class SmallC3D(ClipClassifier):
    """C3D for a CPU: four 3x3x3 convolutions that reduce space early, and global pooling.

    About 26 million multiply-accumulates for 16 frames of 48x48 at width 16.

    Differs from the paper: batch normalisation, and the mean and the maximum over space and time
    instead of fully connected layers (an event is short; its maximum survives a mean over the
    clip). Group normalisation took three times as many steps to the same loss. Running
    statistics lag behind a filter that still moves: evaluate only after the filter stood still
    for some steps, as the `finish` stage of training sees to.

    Args:
        classes: number of logits.
        width: channels of the first convolution; the others have 2, 4 and 4 times as many.
        dropout: share of features dropped in training before the last layer.
    """

    sees: Sees = "clip"

    def __init__(self, classes: int, width: int = DEFAULT_WIDTH, dropout: float = 0.3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *self._block(3, width, (1, 2, 2)),
            nn.MaxPool3d((1, 2, 2)),
            *self._block(width, 2 * width, (2, 2, 2)),
            *self._block(2 * width, 4 * width, (2, 1, 1)),
            *self._block(4 * width, 4 * width, (2, 2, 2)),
        )
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(8 * width, classes))

    @staticmethod
    def _block(inputs: int, outputs: int, stride: tuple[int, int, int]) -> list[nn.Module]:
        convolution = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]

    def forward(self, clips: Clips) -> Logits:
        """Logits of each clip."""
        features = self.features(2.0 * clips - 1.0)
        pooled = torch.cat([features.mean((2, 3, 4)), features.amax((2, 3, 4))], 1)
        logits: torch.Tensor = self.classifier(pooled)
        return logits


def _canonical_small(spec: Spec) -> Spec:
    return Spec(spec.name, str(spec.integer(DEFAULT_WIDTH, least=4, most=512)))


def _build_small(request: Request) -> ClipClassifier:
    return SmallC3D(request.classes, request.spec.integer())


MODELS.add("c3d", ModelEntry("c3d", lambda request: C3D(request.classes)))
MODELS.add("c3d-small", ModelEntry("c3d-small", _build_small, _canonical_small))
