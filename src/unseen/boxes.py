"""Face boxes are enlarged before what is in them is hidden, everywhere by as much."""

from typing import TypeVar

import numpy as np
from torch import Tensor

FACE_ENLARGEMENT = 1.6  # Ren18 5.2: so that they hold most of the head

_Boxes = TypeVar("_Boxes", Tensor, np.ndarray)


def enlarged(boxes: _Boxes, times: float = FACE_ENLARGEMENT) -> _Boxes:
    """Boxes so many times as wide and high about their centres.

    Args:
        boxes: `(..., 4)`, as `(x0, y0, x1, y1)`; NaN stays NaN.
        times: how many times.
    """
    opposite: _Boxes = boxes[..., [2, 3, 0, 1]]
    found: _Boxes = (boxes + opposite) / 2 + times * (boxes - opposite) / 2
    return found
