"""All faces of a video or a picture, with what to cover in each frame.

Files are read twice: once here, to find faces and to follow them in both directions, and once to
cover them. Only detections are kept between, so memory does not grow with the size of the video.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unseen.data.codec import Image
from unseen.data.pictures import PICTURES, read_picture
from unseen.data.video import ahead, probe, read_frames
from unseen.errors import ConfigError, DataError, VideoError
from unseen.faces.cuts import Change, ChangeFinder
from unseen.faces.detect import COVERED, LEAST_FACE_SCORE, CenterFace, Detector
from unseen.faces.follow import Follower
from unseen.faces.looks import Looks
from unseen.faces.manual import Excluded, ManualBox
from unseen.faces.places import Box, enlarged
from unseen.faces.second_stage import SecondStage
from unseen.faces.track import Track, Tracker, merged
from unseen.files import write_json

FORMAT = "unseen/faces/1"
# Detections weaker than the threshold by this factor still continue a track.
_WEAKER = 0.5
# Looks for a second of video, where nothing else is asked for, and glances with them, which are at
# most at every second frame: they see no small faces, but cost a quarter or less. Without glances,
# one goes back from a new face by two frames at a time.
_LOOKS, _GLANCES, _GLANCED = 5, 12, 2
# A face that was lost may be at many places; the margin around all of them is that of a box of at
# most so many of its sizes.
_PLACES = 2.0
# What is covered before and after a face was seen is so many frames at least, if that is no more
# than so many seconds.
_HELD, _LONGEST = 2, 4.0
_LARGEST = 100
# For how many seconds a face is looked for by its picture.
_FOLLOW = 1.0


@dataclass(frozen=True)
class FaceSettings:
    """How faces are found, and what is covered of them.

    Attributes:
        threshold: the least detector score with which a face is believed, in (0, 1).
        every: look at every so many frames, and at both sides of sudden changes; None: five
            times a second, with a glance at every second frame or twelve times a second. At every
            frame also: as closely as at photographs, where they have more than 2 megapixels.
        hold: seconds for which a face is covered before its first and after its last detection; in
            slow video for two frames at least, as long as that is no more than four seconds.
        enlarge: how many times the detected box is covered (1.6 in Ren18 5.2).
        two_stage: pass detections through a second detector, as in Ren18 section 4.
        exclude: regions in which no face is looked for.
        boxes: boxes that are covered as well, exactly as given.
        shape: `box`, or the ellipse in it.
        feather: how far the border is blended, in halves of the box; the blend lies outside of
            what is covered. 0: not at all.
        required: whether a video without any face is an error.
    """

    threshold: float = LEAST_FACE_SCORE
    every: int | None = None
    hold: float = 0.75
    enlarge: float = COVERED
    two_stage: bool = False
    exclude: tuple[Excluded, ...] = ()
    boxes: tuple[ManualBox, ...] = ()
    shape: str = "box"
    feather: float = 0.0
    required: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.threshold < 1:
            faults.append(f"threshold is {self.threshold}: it must be between 0 and 1")
        if self.every is not None and self.every < 1:
            faults.append(f"every is {self.every}: it must be at least 1 frame (--detect-every)")
        if not 0 <= self.hold < float("inf"):
            faults.append(f"hold is {self.hold}: it must be 0 seconds or more")
        if not 1 <= self.enlarge <= _LARGEST:
            faults.append(f"enlarge is {self.enlarge}: it must be 1 or more, at most {_LARGEST}")
        if self.shape not in ("box", "ellipse"):
            faults.append(f"shape is '{self.shape}': it must be box or ellipse")
        elif self.shape == "ellipse" and self.enlarge < 2**0.5:
            faults.append(
                f"enlarge is {self.enlarge}: it must be 1.42 or more, or corners of faces lie "
                "outside of their ellipses"
            )
        if not 0 <= self.feather <= 1:
            faults.append(f"feather is {self.feather}: it must be between 0 and 1")
        if faults:
            raise ConfigError("settings of faces: " + "; ".join(faults))

    @property
    def covered(self) -> float:
        """How many times as wide and high as a detected box the box is that is surely covered."""
        return self.enlarge / 2**0.5 if self.shape == "ellipse" else self.enlarge

    @cached_property
    def video_detector(self) -> Detector:
        """The detector that these settings ask for in video, made when it is first used."""
        return self._detector(quantised=True, closely=self.every == 1)

    @cached_property
    def picture_detector(self) -> Detector:
        """The same for a single picture, in which it looks at a face but once."""
        return self._detector(quantised=False, closely=True)

    def _detector(self, *, quantised: bool, closely: bool) -> Detector:
        first = CenterFace(
            self.threshold * _WEAKER, quantised=quantised, closely=closely, covered=self.covered
        )
        return SecondStage(first) if self.two_stage else first


@dataclass(frozen=True)
class Faces:
    """The faces of one video (or of one picture, a video of one frame).

    Attributes:
        source: the file's name.
        width, height: pixels, upright.
        times: of all frames, in seconds.
        cuts: the frames with which a new scene begins.
        looks: at how many frames the detector looked, glances among them.
        interval: seconds between two looks.
        tracks: one for each face and stretch of time.
        settings: with which they were found.
    """

    source: str
    width: int
    height: int
    times: npt.NDArray[np.float64]
    cuts: tuple[int, ...]
    looks: int
    interval: float
    tracks: tuple[Track, ...]
    settings: FaceSettings = field(default_factory=FaceSettings)

    def __len__(self) -> int:
        """Tracks, and manual boxes that any pixel of any frame lies in."""
        useful = len(self.settings.boxes) - len(self.useless_boxes())
        return len(self.tracks) + useful

    def useless_boxes(self) -> list[str]:
        """The manual boxes that no pixel of any frame lies in, in words."""
        frames, size = len(self.times), (self.width, self.height)
        return [
            f"{','.join(f'{side:g}' for side in box.box)} (number {number}, from frame {box.start})"
            for number, box in enumerate(self.settings.boxes, 1)
            if not box.touches(frames, *size)
        ]

    @cached_property
    def hold(self) -> float:
        """For how many seconds a face is covered before it was first and after it was last seen."""
        if not self.settings.hold or len(self.times) < 2:
            return self.settings.hold
        frames = 1.01 * _HELD * float(np.median(np.diff(self.times)))  # times are rounded
        return max(self.settings.hold, min(frames, _LONGEST))

    @cached_property
    def _spans(self) -> npt.NDArray[np.float64]:
        return np.array([track.span(self.hold) for track in self.tracks]).reshape(-1, 2)

    def boxes(self, frame: int) -> dict[int, Box]:
        """What to cover in a frame, in pixels, by the number of the track.

        Boxes may reach beyond the picture. Manual boxes have the numbers -1, -2, ...

        Args:
            frame: counted from 0.
        """
        time = self.times[frame]
        shown = np.nonzero((self._spans[:, 0] <= time) & (time <= self._spans[:, 1]))[0]
        boxes = {}
        for index in shown:
            track = self.tracks[index]
            box = track.box(time, self.interval, frame, self.hold)
            of = box[2:] - box[:2]
            if self.settings.shape == "box":  # an ellipse holds a box only in proportion to it
                of = np.minimum(of, _PLACES * track.size(time))
            boxes[track.id] = enlarged(box, self.settings.enlarge, of)
        for number, manual in enumerate(self.settings.boxes, 1):
            if manual.covers(frame):
                boxes[-number] = np.array(manual.box, np.float64)
        return boxes

    def write(self, path: Path) -> None:
        """Write the tracks as JSON (docs/faces.md): detections, and what is covered when.

        Raises:
            DataError: it cannot be written.
        """
        covered: dict[int, list[Any]] = {}
        for frame in range(len(self.times)):
            for number, box in self.boxes(frame).items():
                covered.setdefault(number, [frame, []])[1].append(box.round(1).tolist())
        tracks = [
            {
                "id": track.id,
                "detections": [
                    {
                        "frame": track.frames[i],
                        "score": round(track.scores[i], 4),
                        "box": track.boxes[i].round(1).tolist(),
                        "landmarks": track.landmarks[i].astype(float).round(1).tolist(),
                    }
                    for i in range(len(track.frames))
                ],
                "covered_from": covered[track.id][0],
                "covered": covered[track.id][1],
            }
            for track in self.tracks
        ]
        manual = [vars(box) for box in self.settings.boxes]
        content = {
            "format": FORMAT,
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "frames": len(self.times),
            "cuts": list(self.cuts),
            "looks": self.looks,
            "tracks": tracks,
            "manual": manual,
        }
        try:
            write_json(path, content)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def find_faces(
    video: Path | str,
    settings: FaceSettings | None = None,
    *,
    detector: Detector | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Faces:
    """Find and follow the faces of a video file, or find those of a picture.

    Args:
        video: mp4, mov, mkv, webm, avi, mpg or ts; or a picture: jpg, png, webp, bmp, tif or gif.
        settings: see `FaceSettings`.
        detector: in place of the one that the settings ask for; see
            `unseen.faces.detect.Detector`.
        progress: called with the frames read and their number (None: not known).

    Raises:
        ConfigError: the second stage is asked for and not installed.
        DataError: the picture is missing or broken.
        VideoError: the video is missing or broken, or the detector fails.
        WeightsError: the detector's weights are missing or damaged.
    """
    video, settings = Path(video), settings or FaceSettings()
    if video.suffix.lower() in PICTURES:
        return find_faces_in(read_picture(video), video, settings, detector)
    info = probe(video)
    every = settings.every or max(1, round(info.rate / _LOOKS))
    glances = None if settings.every else max(2, round(info.rate / _GLANCES))
    frames = ahead(read_frames(video, rough=True))
    images = ((frame.image, float(frame.time)) for frame in frames)
    return _follow(
        images, settings, detector or settings.video_detector, every, every / float(info.rate),
        glances, source=video, progress=progress and (lambda done: progress(done, info.frames)),
    )  # fmt: skip


def find_faces_in(
    image: Image, source: Path, settings: FaceSettings, detector: Detector | None = None
) -> Faces:
    """Find the faces of one picture, `uint8 (height, width, 3)`; see `find_faces`."""
    detector = detector or settings.picture_detector
    return _follow([(image, 0.0)], settings, detector, 1, 0.0, None, source=source)


def _follow(
    images: Iterable[tuple[Image, float]],
    settings: FaceSettings,
    detector: Detector,
    every: int,
    interval: float,
    glances: int | None,
    *,
    source: Path,
    progress: Callable[[int], None] | None = None,
) -> Faces:
    """Look at every so many frames, and at both sides of sudden changes, and follow the faces.

    With `glances`, glance when the last look or glance is so many frames ago; or look again, where
    the last look lost a face, or saw one that is new or moves fast. What so many frames take in
    time at the rate that the file declares is as long as there is no look or glance at most: frames
    may be fewer, and that rate wrong.
    """
    change_to, tracker = ChangeFinder(), Tracker(settings.threshold, interval, settings.hold)
    follower, looks = Follower(_FOLLOW), Looks(detector, settings.exclude, source)
    times: list[float] = []
    cuts: list[int] = []
    looked = glanced = -every
    restless = False

    def due(last: int, count: int) -> bool:
        # Times are rounded.
        late = last >= 0 and times[-1] - times[last] > 1.01 * count * interval / every
        return len(times) - 1 - last >= count or late

    def look(frame: int, *, closely: bool = True) -> None:
        """Look at the last frame, which has this number."""
        nonlocal looked, glanced, restless
        tracks = tracker.update(frame, times[frame], looks.last(closely=closely))
        follower.detected(tracks)
        glanced = frame
        if closely:
            looked = frame
            restless = tracker.lost(frame, times[frame]) or tracker.restless(tracks)
        for track in tracks:
            if len(track.frames) == 1:
                looks.before(track, tracker, glances or min(_GLANCED, every), closely=closely)

    for frame, (image, time) in enumerate(images):
        times.append(time)
        change = change_to(image)
        if change is not Change.SMALL and frame and looked < frame - 1:
            look(frame - 1)
        if change is Change.CUT:
            tracker.cut(time)
            follower.cut()
            looks.forget()
            cuts.append(frame)
        while change is Change.BACK and cuts and cuts[-1] >= change_to.back_to:
            tracker.undo_cut()
            del cuts[-1]
        follower.add(frame, time, image)
        looks.add(frame, time, image)
        if change is not Change.SMALL or due(looked, every):
            look(frame)
        elif glances is not None and due(glanced, glances):
            look(frame, closely=restless)
        size = image.shape[:2]
        if progress is not None:
            progress(frame + 1)
    if not times:
        raise VideoError(f"{source} holds no frames")
    if looked < len(times) - 1:
        look(len(times) - 1)
    tracks = merged(tracker.tracks, interval, settings.covered)
    height, width = size
    return Faces(
        source.name, width, height, np.array(times), tuple(cuts), looks.count, interval,
        tuple(tracks), settings,
    )  # fmt: skip
