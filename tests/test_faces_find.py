"""Faces of whole videos: found, followed, covered in every frame, whatever the detector misses."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_clips import HEIGHT, WIDTH, Blinded, background, blind_runs, moving, place
from unseen.data.codec import Image
from unseen.data.pictures import write_picture
from unseen.data.video import probe
from unseen.errors import ConfigError, DataError, VideoError
from unseen.faces.detect import NONE, CenterFace, Detections
from unseen.faces.find import FORMAT, Faces, FaceSettings, find_faces, find_faces_in
from unseen.faces.manual import Excluded, ManualBox
from unseen.faces.track import Track
from video_files import make_video


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    """What video gets."""
    return CenterFace(0.1, quantised=True)


def covered(faces: Faces, frame: int, face: np.ndarray) -> bool:
    """Whether one box holds all of a face that is in the picture."""
    x0, y0 = np.maximum(face[:2], 0)
    x1, y1 = np.minimum(face[2:], (faces.width, faces.height))
    if x0 >= x1 or y0 >= y1:
        return True
    return any(
        box[0] <= x0 and box[1] <= y0 and box[2] >= x1 and box[3] >= y1
        for box in faces.boxes(frame).values()
    )


def walk(frames: int) -> list[tuple[float, float] | None]:
    """From left to right with a nod, outside at both ends."""
    return [(-75 + 335 * k / frames, 40 + 15 * np.sin(k / 4)) for k in range(frames)]


def test_a_face_that_enters_and_leaves(tmp_path: Path, detector: CenterFace) -> None:
    images, truth = moving(walk(60))
    video = make_video(tmp_path / "a.mkv", images)
    calls: list[tuple[int, int | None]] = []
    faces = find_faces(video, detector=detector, progress=lambda *call: calls.append(call))
    assert (faces.width, faces.height, len(faces.times)) == (WIDTH, HEIGHT, 60)
    # Five looks a second at 25 a second, one at the last frame, and two glances between each.
    assert 13 < faces.looks <= 13 + 2 * 12
    assert faces.cuts == ()
    assert len(faces) == 1
    inside = [k for k, face in enumerate(truth) if face[0] >= 0 and face[2] <= WIDTH]
    assert len(inside) > 30
    assert all(covered(faces, k, truth[k]) for k in inside)
    # Covered, but not the whole picture.
    middle = faces.boxes(30)[faces.tracks[0].id]
    assert np.prod(middle[2:] - middle[:2]) < 4 * np.prod(truth[30][2:] - truth[30][:2])
    assert calls == [(k, None) for k in range(1, 61)]


@pytest.mark.parametrize("rate", [2, 4, 25])
@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_blinded_detector_uncovers_nothing(
    tmp_path: Path, detector: CenterFace, every: int | None, seed: int, rate: int
) -> None:
    """30% of the frames at random, in runs of up to eight, however long these take."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(0, 1.5, (75, 2)), 0) + np.array([90, 40])
    images, truth = moving([(float(x), float(y)) for x, y in steps])
    video = make_video(tmp_path / "a.mp4", images, time_base=Fraction(1, rate), rate=rate)
    blind = blind_runs(75, 0.3, 8, seed) - {0, 74}
    assert len(blind) >= 20
    faces = find_faces(video, FaceSettings(every=every), detector=Blinded(detector, images, blind))
    for frame, face in enumerate(truth):
        assert covered(faces, frame, face), frame


@pytest.mark.parametrize("seed", [0, 1])
def test_a_blinded_detector_uncovers_nothing_where_a_glance_sees_less(
    tmp_path: Path, detector: CenterFace, seed: int
) -> None:
    """Four times as large: a glance is then at three eighths of the size."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(0, 1.5, (40, 2)), 0) + np.array([90, 40])
    small, truth = moving([(float(x), float(y)) for x, y in steps])
    images = small.repeat(4, 1).repeat(4, 2)
    video = make_video(tmp_path / "a.mp4", images, time_base=Fraction(1, 25), rate=25)
    blind = blind_runs(40, 0.3, 8, seed) - {0, 39}
    assert len(blind) >= 10
    blinded = Blinded(detector, images, blind)
    faces = find_faces(video, detector=blinded)
    assert blinded.glances >= 5
    for frame, face in enumerate(truth):
        assert covered(faces, frame, 4 * face), frame


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_slow_video_is_covered_around_what_was_seen(
    tmp_path: Path, detector: CenterFace, rate: int
) -> None:
    """Two frames before the first and after the last detection, though each takes a second."""
    images, truth = moving([(90 + k, 40.0) for k in range(12)])
    video = make_video(tmp_path / "a.mp4", images, time_base=Fraction(1, rate), rate=rate)
    blinded = Blinded(detector, images, {0, 1, 10, 11})
    faces = find_faces(video, FaceSettings(every=1), detector=blinded)
    for frame, face in enumerate(truth):
        assert covered(faces, frame, face), frame
    alone = find_faces(video, FaceSettings(every=1, hold=0), detector=blinded)
    assert [bool(alone.boxes(frame)) for frame in range(12)] == [2 <= n < 10 for n in range(12)]


@pytest.mark.parametrize(("rate", "milliseconds"), [(1000, 33), (30, 500), (30, 90)])
def test_the_declared_rate_may_be_wrong(
    tmp_path: Path, detector: CenterFace, rate: int, milliseconds: int
) -> None:
    """Between two looks there is no more time than at a rate that is right."""
    images, truth = moving([None] * 8 + [(90 + 2 * k, 40) for k in range(16)] + [None] * 8)
    times, base = [milliseconds * k for k in range(32)], Fraction(1, 1000)
    video = make_video(tmp_path / "a.mkv", images, pts=times, time_base=base, rate=rate)
    assert probe(video).rate == rate
    faces = find_faces(video, detector=detector)
    assert all(covered(faces, frame, truth[frame]) for frame in range(8, 24))


class Glancing:
    """Tells which frames it was shown; sees a face in one of them, at a glance."""

    def __init__(self, images: np.ndarray, there: int) -> None:
        self.frames = {image.tobytes(): k for k, image in enumerate(images)}
        self.there = there
        self.looks: list[int] = []
        self.glances: list[int] = []

    def __call__(self, image: Image) -> Detections:
        self.looks.append(self.frames[image.tobytes()])
        return NONE

    def glance(self, image: Image) -> Detections:
        self.glances.append(self.frames[image.tobytes()])
        if self.glances[-1] != self.there:
            return NONE
        box, points = np.array([[50, 40, 80, 80]], np.float32), np.zeros((1, 5, 2), np.float32)
        return Detections(box, np.ones(1, np.float32), points)


def test_glances_between_looks(tmp_path: Path) -> None:
    """Twelve a second; a detector that cannot glance looks instead."""
    images = np.repeat(background()[None], 13, 0)
    images[:, 0, 0, 0] = np.arange(13)
    video = make_video(tmp_path / "a.mp4", images)
    one = Glancing(images, 7)
    faces = find_faces(video, FaceSettings(hold=0.1, threshold=0.9), detector=one)
    assert one.looks == [0, 5, 10, 12]
    assert one.glances == [2, 4, 7, 6, 9]  # where it came from is glanced at afterwards
    assert faces.looks == 9
    assert [k for k in range(13) if faces.boxes(k)] == [5, 6, 7, 8, 9]
    other = Glancing(images, 2)
    find_faces(video, FaceSettings(every=5), detector=other)
    assert other.looks == [0, 5, 10, 12]
    assert other.glances == []
    third = Glancing(images, 2)
    find_faces(video, detector=lambda image: third(image))
    assert third.looks == [0, 2, 4, 5, 7, 9, 10, 12, 12]


def test_where_a_look_loses_a_face_it_looks_again(tmp_path: Path) -> None:
    images = np.repeat(background()[None], 13, 0)
    images[:, 0, 0, 0] = np.arange(13)
    video = make_video(tmp_path / "a.mp4", images)
    one = Glancing(images, 4)  # seen at a glance, and not by the look after it
    find_faces(video, detector=one)
    assert one.glances == [2, 4, 3]
    assert one.looks == [0, 5, 7, 9, 11, 12]  # for as long as there is between two looks


class Jumping:
    """A small face, not to be seen at a glance: where it is in each frame, and its score."""

    def __init__(self, images: np.ndarray, there: Mapping[int, tuple[float, float, float]]) -> None:
        self.frames = {image.tobytes(): k for k, image in enumerate(images)}
        self.there = there
        self.looks: list[int] = []

    def box(self, frame: int) -> np.ndarray:
        x, y, _ = self.there[frame]
        return np.array([x, y, x + 12, y + 16], np.float32)

    def __call__(self, image: Image) -> Detections:
        frame = self.frames[image.tobytes()]
        self.looks.append(frame)
        if frame not in self.there:
            return NONE
        score = np.array([self.there[frame][2]], np.float32)
        return Detections(self.box(frame)[None], score, np.zeros((1, 5, 2), np.float32))

    def glance(self, _: Image) -> Detections:
        return NONE


def test_a_fast_face_is_covered_before_it_is_first_seen(tmp_path: Path) -> None:
    """It falls by twice its size from frame to frame, and stops before a look sees it."""
    images = np.repeat(background()[None], 21, 0)
    images[:, 0, 0, 0] = np.arange(21)
    video = make_video(tmp_path / "a.mp4", images)
    ways = [(60, 0), (75, 25), (90, 50), (100, 68), (106, 80)]
    scores = [0.15, 0.12, 0.3, 0.15, 0.5]
    there = {6 + k: (*at, score) for k, (at, score) in enumerate(zip(ways, scores, strict=True))}
    there |= dict.fromkeys(range(11, 21), (106, 80, 0.5))
    one = Jumping(images, there)
    faces = find_faces(video, detector=one)
    assert all(covered(faces, frame, one.box(frame)) for frame in there)
    # Back from the look that saw it first, by two frames or, where it was too
    # fast for that, by one; then the next glances are looks, until it rests.
    assert one.looks == [0, 5, 10, 8, 6, 7, 12, 17, 20]
    (track,) = faces.tracks
    assert track.frames == [6, 7, 8, 10, 12, 17, 20]
    assert track.frames == sorted(track.frames)
    assert track.times == [faces.times[frame] for frame in track.frames]

    # Not beyond a cut, and no further than where it is not.
    images[:8] = background(3)
    images[:8, 0, 0, 0] = np.arange(8)
    one = Jumping(images, there)
    faces = find_faces(make_video(tmp_path / "b.mp4", images), detector=one)
    assert faces.cuts == (8,)
    assert min(frame for track in faces.tracks for frame in track.frames if frame > 7) == 8
    assert all(track.frames[-1] < 8 or track.frames[0] >= 8 for track in faces.tracks)


def test_several_people_and_small_faces(tmp_path: Path, detector: CenterFace) -> None:
    frames, truth = [], []
    for k in range(12):
        image = background(1, 240, 360)
        truth.append(
            [
                place(image, 20 + 4 * k, 30, 0.6),
                place(image, 250 - 3 * k, 60, 0.35),
                place(image, 300, 170 - 2 * k, 0.2),
            ]
        )
        frames.append(image)
    video = make_video(tmp_path / "a.mp4", np.stack(frames))
    faces = find_faces(video, detector=detector)
    assert len(faces) == 3
    for frame, people in enumerate(truth):
        assert all(covered(faces, frame, face) for face in people)


def test_cuts_are_seen_from_both_sides(tmp_path: Path, detector: CenterFace) -> None:
    """A scene of two frames between two looks is looked at; nothing reaches into its neighbours."""
    there, _ = moving([(90, 40)] * 2, seed=2)
    without = [np.repeat(background(seed)[None], 7, 0) for seed in (3, 4)]
    images = np.concatenate([without[0], there, without[1]])
    video = make_video(tmp_path / "a.mp4", images)
    faces = find_faces(video, FaceSettings(every=50), detector=detector)
    assert faces.cuts == (7, 9)
    assert [bool(faces.boxes(k)) for k in range(16)] == [k in (7, 8) for k in range(16)]
    assert faces.looks == 6


@pytest.mark.parametrize("bright", [True, False])
def test_a_face_is_covered_in_a_flash_and_beside_it(
    tmp_path: Path, detector: CenterFace, bright: bool
) -> None:
    """In three frames of a flash, or of noise, and blinded around them: that is no new scene."""
    images, truth = moving([(90 + k, 40) for k in range(30)])
    for k in range(12, 15):
        noise = np.random.default_rng(k).integers(0, 256, images[k].shape, dtype=np.uint8)
        images[k] = 255 - images[k] // 8 if bright else noise
    video = make_video(tmp_path / "a.mp4", images)
    blind = Blinded(detector, images, {9, 10, 11, 12, 13, 14, 15, 16})
    faces = find_faces(video, detector=blind)
    assert faces.cuts == ()
    assert len(faces) == 1
    assert all(covered(faces, k, truth[k]) for k in range(30))


def test_exclusion_and_manual_boxes(tmp_path: Path, detector: CenterFace) -> None:
    images, _ = moving([(90, 40)] * 8)
    video = make_video(tmp_path / "a.mp4", images)
    boxes = (ManualBox((1, 2, 30, 40), 3, 5), ManualBox((5, 5, 9, 9)))
    settings = FaceSettings(boxes=boxes, exclude=(Excluded(80, 30, 100, 100),))
    faces = find_faces(video, settings, detector=detector)
    assert faces.tracks == ()
    assert [sorted(faces.boxes(k)) for k in (0, 3, 4, 5)] == [[-2], [-2, -1], [-2, -1], [-2]]
    assert faces.boxes(3)[-1].tolist() == [1, 2, 30, 40]  # not enlarged: as the person drew it
    settings = FaceSettings(exclude=(Excluded(0, 0, 20, 20),))
    assert len(find_faces(video, settings, detector=detector)) == 1


def test_boxes_are_enlarged_about_their_centre(detector: CenterFace) -> None:
    images, _ = moving([(90, 40)])
    sizes = []
    for enlarge in (1.0, 1.6, 3.0):
        faces = find_faces_in(images[0], Path("a.png"), FaceSettings(enlarge=enlarge))
        (box,) = faces.boxes(0).values()
        sizes.append(box[2:] - box[:2])
        np.testing.assert_allclose((box[:2] + box[2:]) / 2, (126, 83), atol=8)
    np.testing.assert_allclose(sizes[2] / sizes[1], 3.0 / 1.6)
    # With no margin the box holds each of the overlapping ones that the detector saw of the face.
    assert (sizes[1] / sizes[0] <= 1.6).all()
    assert (sizes[1] / sizes[0] > 1.2).all()


@pytest.mark.parametrize(
    ("shape", "enlarge", "tracks"), [("box", 1.3, 2), ("box", 1.4, 1), ("ellipse", 1.5, 2)]
)
def test_what_the_settings_leave_uncovered_is_no_duplicate(
    shape: str, enlarge: float, tracks: int, tmp_path: Path
) -> None:
    """Most of the second lies inside the first, and all of it within 1.35 times as much."""
    boxes = np.array([[80, 30, 120, 70], [97, 35, 127, 65]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros((2, 5, 2), np.float32))
    video = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 6, 0))
    settings = FaceSettings(shape=shape, enlarge=enlarge)
    assert len(find_faces(video, settings, detector=lambda _: found).tracks) == tracks


def test_the_margin_is_that_of_two_faces_at_most() -> None:
    track = Track(0, (-np.inf, np.inf))
    for frame, x in enumerate((40, 200)):
        box = np.array([[x, 40, x + 20, x * 0.1 + 66]], np.float32)
        seen = Detections(box, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))
        track.add(2 * frame, frame / 5, seen, 0)
    times = np.array([0, 0.1, 0.2])
    for shape, margin in (("box", (12, 13.8)), ("ellipse", (54, 13.8))):
        settings = FaceSettings(shape=shape)
        faces = Faces("a.mp4", 320, 240, times, (), 2, 0.2, (track,), settings)
        across, down = margin
        there = (40 - across, 40 - down, 220 + across, 86 + down)
        np.testing.assert_allclose(faces.boxes(1)[0], there)


def test_tracks_as_json(tmp_path: Path, detector: CenterFace) -> None:
    images, _ = moving([None] * 30 + [(90.0 + k, 40.0) for k in range(10)])
    video = make_video(tmp_path / "a.mp4", images)
    settings = FaceSettings(boxes=(ManualBox((1, 2, 3, 4), 2),), hold=0.2)
    faces = find_faces(video, settings, detector=detector)
    faces.write(tmp_path / "out" / "faces.json")
    read = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert read["format"] == FORMAT
    assert (read["source"], read["width"], read["height"]) == ("a.mp4", WIDTH, HEIGHT)
    assert read["frames"] == 40
    assert read["manual"] == [{"box": [1, 2, 3, 4], "start": 2, "end": None}]
    (track,) = read["tracks"]
    frames = [one["frame"] for one in track["detections"]]
    assert frames == faces.tracks[0].frames == [30, 32, 34, 36, 37, 39]
    assert track["covered_from"] == 25
    assert len(track["covered"]) == 15
    for frame, box in enumerate(track["covered"], 25):
        np.testing.assert_allclose(box, faces.boxes(frame)[track["id"]], atol=0.051)
    first = track["detections"][0]
    assert 0.5 < first["score"] <= 1
    x0, y0, x1, y1 = first["box"]
    assert all(x0 < x < x1 and y0 < y < y1 for x, y in first["landmarks"])


def test_a_video_without_faces(tmp_path: Path, detector: CenterFace) -> None:
    video = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 12, 0))
    faces = find_faces(video, detector=detector)
    assert len(faces) == 0
    assert all(faces.boxes(k) == {} for k in range(12))


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path, detector: CenterFace) -> None:
    image = background()
    at = place(image, 60, 40)
    path = tmp_path / "photo.png"
    write_picture(path, image)
    for given in (path, str(path)):
        faces = find_faces(given, detector=detector)
        assert (faces.source, len(faces.times), len(faces.tracks)) == ("photo.png", 1, 1)
        middle = faces.tracks[0].boxes[0].reshape(2, 2).mean(0)
        assert np.abs(middle - at.reshape(2, 2).mean(0)).max() < 8
    with pytest.raises(DataError, match="no picture"):
        find_faces(tmp_path / "none.jpg")


def test_video_gets_eight_bits_and_a_picture_the_exact_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    def recorded(threshold: float, **options: Any) -> CenterFace:
        assert threshold == pytest.approx(0.1)  # half of 0.2: weaker ones continue a track
        made.append(options)
        return CenterFace(threshold, **options)

    monkeypatch.setattr("unseen.faces.find.CenterFace", recorded)
    image = background()
    place(image, 60, 40)
    find_faces(make_video(tmp_path / "a.mp4", np.repeat(image[None], 3, 0)))
    assert made == [{"quantised": True, "closely": False, "covered": 1.6}]
    write_picture(tmp_path / "a.png", image)
    find_faces(tmp_path / "a.png", FaceSettings(shape="ellipse"))
    _ = FaceSettings(every=1).video_detector  # where every face counts
    (_, picture, every) = made
    assert every == {"quantised": True, "closely": True, "covered": 1.6}
    assert picture == {"quantised": False, "closely": True, "covered": pytest.approx(1.6 / 2**0.5)}


def test_a_detector_that_fails(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 12, 0))

    def broken(image: np.ndarray) -> Detections:
        raise RuntimeError("out of memory")

    with pytest.raises(VideoError, match=r"detector failed at frame 0 of .*a\.mp4: out of memory"):
        find_faces(video, detector=broken)
    with pytest.raises(VideoError, match="no video file"):
        find_faces(tmp_path / "none.mp4", detector=broken)


def test_all_wrong_settings_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        FaceSettings(
            threshold=0, every=0, hold=-1, enlarge=0.9, shape="round", feather=float("nan")
        )
    for name in ("threshold", "every", "hold", "enlarge", "shape", "feather"):
        assert f"{name} is " in str(caught.value)
