"""Faces covered frame by frame: black without PyTorch, and only what was looked at."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from face_clips import moving
from unseen.deploy.apply import anonymize_video
from unseen.deploy.cover import FacesOnly
from unseen.errors import VideoError
from unseen.faces.find import FaceSettings, find_faces_in
from video_files import decode, make_video


def test_frames_that_nobody_looked_at_are_refused() -> None:
    image = moving([(90, 40)])[0][0]
    found = find_faces_in(image, Path("a.png"), FaceSettings())
    paint = FacesOnly(found, "a.png")
    assert (paint([image], [0.0], 0)[0] != image).any()
    with pytest.raises(VideoError, match=r"frame 1 of a\.png was not there"):
        paint([image], [0.04], 1)
    with pytest.raises(VideoError, match=r"frame 0 of a\.png was not there"):
        paint([image], [0.04], 0)
    with pytest.raises(VideoError, match="was not there when faces were looked for"):
        paint([np.ascontiguousarray(image[:-2])], [0.0], 0)


def test_blackened_faces_need_no_pytorch(tmp_path: Path) -> None:
    """Its import would take longer than many a video."""
    src = make_video(tmp_path / "a.mp4", moving([(90, 40)] * 3)[0])
    heavy = ("torch", "torchvision", "scipy", "sklearn", "pandas", "matplotlib", "pydantic")
    program = (
        "import sys; from unseen.cli import main\n"
        "code = main(['anonymize', sys.argv[1], '-o', sys.argv[2], '--codec', 'lossless'])\n"
        f"sys.exit(code or ' '.join(set(sys.modules) & set({heavy})) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(src), str(tmp_path / "b.mp4")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (decode(tmp_path / "b.mp4")[0][:, 83, 126] == 0).all()


@pytest.mark.parametrize(("rotation", "mirror"), [(90, False), (180, False), (270, True)])
def test_faces_of_a_video_that_is_stored_turned_are_covered(
    tmp_path: Path, rotation: int, mirror: bool
) -> None:
    """As phones write it: found, covered and written upright, and nothing else is touched."""
    upright, truth = moving([(90 + 2 * k, 40) for k in range(12)])
    stored = np.rot90(upright[:, :, ::-1] if mirror else upright, -rotation // 90, (1, 2))
    src = make_video(
        tmp_path / "a.mp4", np.ascontiguousarray(stored), rotation=rotation, mirror=mirror
    )
    anonymize_video(src, tmp_path / "b.mp4", codec="lossless")
    painted, _ = decode(tmp_path / "b.mp4")
    assert painted.shape == upright.shape
    for image, before, face in zip(painted, upright, truth, strict=True):
        x0, y0, x1, y1 = face.round().astype(int)
        assert (image[y0:y1, x0:x1] == 0).all()
        np.testing.assert_array_equal(image[:, :30], before[:, :30])
