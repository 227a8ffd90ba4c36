"""Statistics of labels: of any published data set, and of privacy annotations frame by frame.

The latter are those of Wang19 5.4, Fig. 5-7, from any folder in PA-HMDB51's format. The paper
prints its figures without a table of their numbers and without definitions beyond their captions,
so that what is counted is written down here.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from unseen.data.clips import SPLITS
from unseen.data.official import Inventory
from unseen.data.pa_hmdb51_labels import (
    ATTRIBUTES,
    VALUES,
    Attribute,
    VideoAnnotation,
    frame_labels,
)


@dataclass(frozen=True)
class LabelCounts:
    """How often each label occurs in a published data set.

    Attributes:
        name: `ucf101:1`, option included.
        items: videos or images in each split; `all` where no split is published.
        labels: of each column the values, and of each value the items in each split that have it.
            A column of `0` and `1` is a yes/no attribute.
    """

    name: str
    items: dict[str, int]
    labels: dict[str, dict[str, dict[str, int]]]

    def __str__(self) -> str:
        rows = [(self.name, self.items)]
        for column, values in self.labels.items():
            attribute = values.keys() <= {"0", "1"}
            shown = (
                {column: values.get("1", {})}
                if attribute
                else {f"{column} {value}": counts for value, counts in values.items()}
            )
            rows += shown.items()
        width = max(len(title) for title, _ in rows)
        lines = [" ".join([" " * width, *(f"{split:>7}" for split in self.items)])]
        lines += [
            " ".join([f"{title:{width}}", *(f"{counts.get(split, 0):7d}" for split in self.items)])
            for title, counts in rows
        ]
        return "\n".join(lines)


def label_counts(inventory: Inventory) -> LabelCounts:
    """Count the labels that the lists of a data set give, whether its files are there or not."""
    items: Counter[str] = Counter()
    labels: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for item in inventory.items:
        split = item.split or "all"
        items[split] += 1
        for column, value in item.labels.items():
            labels[column][value][split] += 1
    order = [split for split in (*SPLITS, "all") if split in items]
    return LabelCounts(
        inventory.name,
        {split: items[split] for split in order},
        {
            column: {
                value: {split: values[value][split] for split in order} for value in sorted(values)
            }
            for column, values in labels.items()
        },
    )


@dataclass(frozen=True)
class Counts:
    """How often each value of an attribute occurs in some videos.

    Attributes:
        labelled: frames with at least one value.
        unlabelled: the other frames, up to the last labelled one of each video.
        frames: frames with value 0, 1, ... A frame in which several people differ counts once for
            each of its values, so that the sum can be more than `labelled`.
        shares: `frames` over `labelled`, in [0, 1]; 0 where nothing is labelled.
    """

    labelled: int
    unlabelled: int
    frames: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class AttributeStatistics:
    """One attribute in all videos.

    Attributes:
        values: the names of value 0, 1, ...
        distribution: the frame-level distribution (Wang19 5.4.2, Fig. 6): over all videos.
        several: frames with more than one value.
        by_action: the correlation of actions with the attribute (Wang19 5.4.3, Fig. 7): for each
            action, `frames` is "the number of frames of each action containing a specific privacy
            attribute value", as its caption says, over all videos of the action. It is a count and
            grows with the videos' number and length; `shares` are free of that, and compared with
            those of `distribution` say whether an action goes with a value.
    """

    values: tuple[str, ...]
    distribution: Counts
    several: int
    by_action: dict[str, Counts]


@dataclass(frozen=True)
class AnnotationStatistics:
    """What Wang19 5.4 shows of PA-HMDB51; `dataclasses.asdict` makes it JSON.

    Attributes:
        videos: annotated videos.
        actions: actions with at least one of them.
        frames: frames up to the last labelled one of each video, all videos together.
        labelled_frames: those with a label of at least one attribute.
        action_distribution: videos of each action (5.4.1, Fig. 5), the most frequent first, equal
            ones by name.
        attributes: the statistics of each attribute.
    """

    videos: int
    actions: int
    frames: int
    labelled_frames: int
    action_distribution: dict[str, int]
    attributes: dict[Attribute, AttributeStatistics]

    def __str__(self) -> str:
        lines = [
            f"{self.videos} videos of {self.actions} actions, {self.frames} frames, of which "
            f"{self.labelled_frames} have a label; frames with each value:"
        ]
        for name, each in self.attributes.items():
            values = zip(each.values, each.distribution.frames, strict=True)
            lines.append(f"{name}: " + ", ".join(f"{value} {count}" for value, count in values))
        return "\n".join(lines)


def annotation_statistics(videos: Sequence[VideoAnnotation]) -> AnnotationStatistics:
    """Count videos, frames and values, see `AnnotationStatistics`."""
    by_action = Counter(video.action for video in videos)
    labels = {
        attribute: [frame_labels(video, attribute) for video in videos] for attribute in ATTRIBUTES
    }
    labelled = sum(
        any(frame)
        for columns in zip(*labels.values(), strict=True)
        for frame in zip(*columns, strict=True)
    )
    attributes = {}
    for attribute, found in labels.items():
        grouped = {
            action: [
                values
                for video, frames in zip(videos, found, strict=True)
                if video.action == action
                for values in frames
            ]
            for action in sorted(by_action)
        }
        everything = [values for frames in found for values in frames]
        attributes[attribute] = AttributeStatistics(
            values=VALUES[attribute],
            distribution=_count(everything, attribute),
            several=sum(len(values) > 1 for values in everything),
            by_action={action: _count(each, attribute) for action, each in grouped.items()},
        )
    return AnnotationStatistics(
        videos=len(videos),
        actions=len(by_action),
        frames=sum(video.frames for video in videos),
        labelled_frames=labelled,
        action_distribution=dict(sorted(by_action.items(), key=lambda each: (-each[1], each[0]))),
        attributes=attributes,
    )


def _count(labels: Sequence[frozenset[int]], attribute: Attribute) -> Counts:
    found = Counter(value for values in labels for value in values)
    labelled = sum(bool(values) for values in labels)
    frames = tuple(found[value] for value in range(len(VALUES[attribute])))
    shares = tuple(count / labelled if labelled else 0.0 for count in frames)
    return Counts(labelled, len(labels) - labelled, frames, shares)
