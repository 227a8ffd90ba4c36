import math

import numpy as np
import pytest
import torch

from unseen.boxes import enlarged


def test_boxes_grow_about_their_centres() -> None:
    boxes = [[[10.0, 20.0, 20.0, 40.0]], [[math.nan] * 4]]
    expected = [[[7.0, 14.0, 23.0, 46.0]], [[math.nan] * 4]]  # 16 by 32 about (15, 30)
    np.testing.assert_allclose(enlarged(np.array(boxes)), expected)
    torch.testing.assert_close(
        enlarged(torch.tensor(boxes)), torch.tensor(expected), equal_nan=True
    )
    assert enlarged(np.array([10.0, 20, 20, 40]), 1.0).tolist() == [10, 20, 20, 40]
    assert enlarged(np.array([-2.0, 0, 2, 8]), 3.0) == pytest.approx([-6, -8, 6, 16])
