"""Which files are anonymized, and where to: all faults of the inputs, before any work."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unseen.data.pictures import PICTURES
from unseen.data.video import WRITABLE, probe
from unseen.errors import ConfigError, DataError, VideoError
from unseen.files import refuse_unwritable

# What a folder is searched for; those that cannot be read are reported, not skipped.
VIDEOS = (
    *WRITABLE,
    *(".m4v", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp"),
    *(".wmv", ".flv", ".ogv"),
)
# Pictures that are not read: they are reported as well.
_OTHER_PICTURES = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".nef", ".arw")
_MARK = ".anonymized"


@dataclass(frozen=True)
class Job:
    """One file to anonymize, and where to; `faces` is where its faces are written, if anywhere."""

    source: Path
    output: Path
    faces: Path | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture, and not a video."""
        return is_picture(self.source)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its suffix."""
    return path.suffix.lower() in PICTURES


def _files(folder: Path, out: Path | None) -> Iterator[Path]:
    """What can be anonymized in a folder and below, except hidden files and own outputs."""
    top = folder.resolve()
    nested = out is not None and out.resolve() != top and out.resolve().is_relative_to(top)
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        written = path.stem.endswith(_MARK) or (
            nested and out is not None and path.resolve().is_relative_to(out.resolve())
        )
        wanted = path.suffix.lower() in (*VIDEOS, *PICTURES, *_OTHER_PICTURES)
        if wanted and path.is_file() and not hidden and not written:
            yield path


def passed_over(inputs: Sequence[Path]) -> str | None:
    """What lies in the folders named and is not anonymized, in words; None: nothing.

    Files of other kinds, links to folders, which are not entered, and what is no file whatever its
    name (a link to nothing, a pipe). Hidden files and `NAME.anonymized.*` are told of nowhere.
    """
    kinds: Counter[str] = Counter()
    links: list[str] = []
    no_files: list[str] = []
    for folder in (path for path in inputs if path.is_dir()):
        for path in sorted(folder.rglob("*")):
            if any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            if path.is_symlink() and path.is_dir():
                links.append(str(path))
            elif not path.is_file() and not path.is_dir():
                no_files.append(str(path))
            elif path.is_file() and path.suffix.lower() not in (
                *VIDEOS, *PICTURES, *_OTHER_PICTURES,
            ):  # fmt: skip
                kinds[path.suffix.lower() or "no suffix"] += 1
    told = [f"links to folders: {', '.join(links)}"] if links else []
    told += [f"no files: {', '.join(no_files)}"] if no_files else []
    if kinds:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        told.insert(0, f"files of other kinds: {listed}")
    return "; ".join(told) or None


def _named(inside: Path, mark: str = "") -> Path:
    """The output's name: as the source's; suffixes that cannot be written become `.mp4`."""
    suffix = inside.suffix if inside.suffix.lower() in (*WRITABLE, *PICTURES) else ".mp4"
    return inside.with_name(f"{inside.stem}{mark}{suffix}")


def _names_file(out: Path | None) -> bool:
    """Whether `out` is meant as a file rather than as a folder."""
    named = out is not None and out.suffix.lower() in (*VIDEOS, *PICTURES)
    return named and out is not None and not out.is_dir()


def plan(inputs: Sequence[Path], out: Path | None, faces_json: Path | None = None) -> list[Job]:
    """Which outputs the inputs give; see `anonymize_paths`.

    Raises:
        DataError: with every fault: missing inputs, files that are no videos, or damaged ones as
            far as their headers and their first frame tell, folders without any, two inputs for one
            output or for one file of faces, an output or a file of faces that is an input, a file
            of faces that is an output.
        ConfigError: `out` cannot hold the outputs.
    """
    faults: list[str] = []
    jobs: dict[Path, Job] = {}
    single = len(inputs) == 1 and not inputs[0].is_dir()
    as_file = single and _names_file(out)
    unusable = None if out is None else _unusable(out, inputs[0] if as_file else None)
    for path in inputs:
        if path.is_dir():
            found = [(file, file.relative_to(path)) for file in _files(path, out)]
            if not found:
                faults.append(f"{path}: no videos or pictures in this folder")
        elif not path.exists():
            faults.append(f"{path}: no such file or folder")
            continue
        else:
            found = [(path, Path(path.name))]
        for file, inside in found:
            if out is None:
                output = _named(file, _MARK)
            else:
                output = out if as_file else out / _named(inside)
            json = faces_json
            if json is not None and not single:
                json = json / inside.with_name(f"{output.name}.json")
            # A file that is named twice is done once; a link to it has a name of its own.
            jobs.setdefault(file.parent.resolve() / file.name, Job(file, output, json))
    for job in jobs.values():
        if job.source.suffix.lower() in _OTHER_PICTURES:
            faults.append(f"{job.source}: pictures of this kind are not read: make it jpg or png")
        elif not job.is_picture:
            try:
                probe(job.source)  # its headers, and its first frame
            except VideoError as error:
                faults.append(str(error))
    if unusable is None:
        faults += [*_output_faults(jobs), *_faces_faults(jobs)]
    elif not faults:
        raise ConfigError(unusable)
    else:
        faults.insert(0, unusable)
    if faults:
        raise DataError("nothing was anonymized, the inputs have faults:", faults)
    return list(jobs.values())


def _unusable(out: Path, source: Path | None) -> str | None:
    """Why `out` cannot be the output of one file, or the folder of all outputs (None), if so."""
    if source is None:
        if _names_file(out) or out.is_file():
            return f"{out} is not a folder, but the outputs need one: name a folder"
    elif is_picture(source) != is_picture(out):
        return f"{out} is of another kind than {source}: change its suffix"
    elif out.suffix.lower() not in (*WRITABLE, *PICTURES):
        return f"cannot write {out}: the name must end in {', '.join(WRITABLE)}"
    return None


def _output_faults(jobs: dict[Path, Job]) -> list[str]:
    """Outputs that cannot be written, or are not of one input alone."""
    faults = []
    # One for each folder: where one output cannot be written, mostly none can be.
    for output in {job.output.parent: job.output for job in jobs.values()}.values():
        try:
            refuse_unwritable(output)
        except ConfigError as error:
            faults.append(str(error))
    inputs = {job.source.resolve() for job in jobs.values()}
    sources = defaultdict(list)
    for job in jobs.values():
        sources[job.output.resolve()].append(job)
    for output, several in sources.items():
        names = ", ".join(str(job.source) for job in several)
        if len(several) > 1:
            faults.append(f"{names}: all would be written to {several[0].output}")
        if output in inputs:
            faults.append(f"{names}: would replace the input {several[0].output}")
    return faults


def _faces_faults(jobs: dict[Path, Job]) -> list[str]:
    """Files of faces that would replace a video, a picture or one another."""
    faults = []
    outputs = {job.output.resolve() for job in jobs.values()}
    inputs = {job.source.resolve() for job in jobs.values()}
    sources = defaultdict(list)
    for job in jobs.values():
        if job.faces is not None:
            sources[job.faces.resolve()].append(job)
    for faces, several in sources.items():
        names, path = ", ".join(str(job.source) for job in several), several[0].faces
        if len(several) > 1:
            faults.append(
                f"{names}: the faces of all would be written to {path}; anonymize them one by one, "
                "or the folder that holds them all"
            )
        if faces in inputs:
            faults.append(f"{names}: the faces would replace the input {path}")
        elif faces in outputs:
            faults.append(f"{names}: the faces would replace the output {path}")
    return faults
