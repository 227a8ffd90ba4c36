"""The learned face modifier M of Ren18, as an anonymizer of face regions."""

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.baselines import resize_faces
from unseen.anonymizers.handcrafted import checked_boxes
from unseen.anonymizers.johnson import JohnsonNet
from unseen.anonymizers.learned import (
    WEIGHTS_FILE,
    damaged,
    not_trained,
    read_contract,
    write_anonymizer,
)
from unseen.boxes import FACE_ENLARGEMENT, enlarged
from unseen.data.seen import read_seen
from unseen.errors import DataError, WeightsError
from unseen.overrides import Section
from unseen.stored_weights import load_weights
from unseen.types import Boxes, Clips, Frames, from_frames, to_frames

MODIFIER_CONTRACT = "unseen/face-modifier/1"

Faces = Float[Tensor, "faces 3 size size"]
Grain = Float[Tensor, "faces numbers"]
Looks = Float[Tensor, "faces 3 look_cells look_cells"]


class ModifierConfig(Section):
    """Which face modifier to learn.

    Attributes:
        size: height and width in pixels at which faces are modified; regions of any size are
            resized to it bilinearly, and back.
        width: channels of its first convolution.
        blocks: residual blocks.
        sees: cells along each side of what M is shown of a face: averages over `sees` x `sees`
            cells; 0 shows the face itself, as the paper does.
        noise: standard deviation of Gaussian noise on those cells, drawn once for each video.
        looks: principal components of faces' looks from which M is given that of a stranger to
            make, drawn once for each video; 0: none (the paper).
        look_cells: cells along each side of a look, which is the averages over them.
        on_look: whether M changes the look that it is given, or makes its picture from nothing.
    """

    size: int = Field(256, ge=16, multiple_of=4)
    width: int = Field(64, ge=4, multiple_of=4)
    blocks: int = Field(9, ge=1)
    sees: int = Field(0, ge=0)
    noise: float = Field(0.0, ge=0)
    looks: int = Field(0, ge=0)
    look_cells: int = Field(8, ge=1)
    on_look: bool = False

    @model_validator(mode="after")
    def _limits_fit(self) -> "ModifierConfig":
        if self.sees >= self.size:
            raise ValueError(f"sees {self.sees} is no limit at size {self.size}; use less, or 0")
        if self.noise and not self.sees:
            raise ValueError("noise lies on the cells that `sees` gives; set sees, or noise=0")
        if self.looks and not self.sees:
            raise ValueError(
                "a look is made over the cells that `sees` gives; set sees, or looks=0"
            )
        if self.on_look and not self.looks:
            raise ValueError("on_look changes a look that M is given: set looks, or on_look=false")
        if self.look_cells > self.size:
            raise ValueError(f"look_cells {self.look_cells} is more than size {self.size}")
        if self.looks > 3 * self.look_cells**2:
            most = 3 * self.look_cells**2
            raise ValueError(f"{self.look_cells}x{self.look_cells} look_cells give {most} looks")
        return self


class FaceModifier(Anonymizer):
    """M: faces to faces of someone else, in the same pose and light (Ren18 3.1, section 4).

    Johnson's network (`unseen.anonymizers.johnson`; 9 residual blocks, width 64, instance
    normalisation, 256x256 in the paper). With boxes it modifies the face regions of frames, each
    box enlarged 1.6 times about its centre (5.2), v' = v - r_v + M(r_v) (eq. 1), and leaves frames
    without faces as they are; without boxes a whole frame is one face region.

    Differs from the paper: where `sees` is set M is not shown the face but noisy averages of it;
    what they do not tell, M makes up. It makes a picture and says for each pixel how much of it
    covers what it was shown, so that what need not change stays (instance normalisation loses
    brightness and colour). A learned picture is added to what the network sees, so that it knows
    where in the region it is. With `looks` it is also told whom to make: a stranger's look, drawn
    at random from what looks are like (a Gaussian of few components, the eigenfaces of Turk and
    Pentland 1991; nobody's picture is kept). What M fails to remove of a face is then little beside
    how much made faces differ by chance. With `on_look` it says what to add to that look, which is
    a soft face already, instead of making one. Resizing averages where it shrinks.

    Args:
        config: which network, and what it is shown.
        name: how the command line calls it.

    Attributes:
        folder: of the run that it was loaded from, if it was.
    """

    needs_boxes = "face"
    folder: Path | None = None

    def __init__(self, config: ModifierConfig, *, name: str = "face-modifier") -> None:
        super().__init__()
        self.name = name
        self.config = config
        self.random = config.noise > 0 or config.looks > 0
        # Where coarse cells are what hides, a region of fewer pixels than cells would be shown
        # whole. Where M sees nearly all, it is M that hides, in a small region as in a large one.
        self.least_side = config.sees + 1 if 2 * config.sees <= config.size else 1
        self.network = JohnsonNet(
            config.width,
            config.blocks,
            inputs=6 if config.looks else 3,
            outputs=4 if config.sees else 3,
        )
        if config.sees:
            self.canvas = nn.Parameter(0.1 * torch.randn(3, config.size, config.size))
        if config.looks:
            numbers = 3 * config.look_cells**2
            self.register_buffer("look_mean", torch.full((numbers,), 0.5))
            self.register_buffer("look_axes", torch.zeros(config.looks, numbers))
            self.register_buffer("look_spread", torch.zeros(config.looks))

    def learned_people(self) -> frozenset[str] | None:
        """Those of its run, see `Anonymizer.learned_people`."""
        return None if self.folder is None else read_seen(self.folder, "people")

    def grain(self, faces: int) -> Grain:
        """What is random for so many faces, standard normal, from PyTorch's global generator."""
        return torch.randn(faces, 3 * self.config.sees**2 + self.config.looks)

    @torch.no_grad()
    def learn_looks(self, faces: Faces) -> None:
        """Learn what looks are like: their mean, principal components and spread along these.

        Args:
            faces: more of them than components; or their looks.

        Raises:
            DataError: there are too few.
        """
        count = self.config.looks
        if len(faces) <= count:
            raise DataError(
                f"modifier.looks={count} takes more than {count} faces to learn from, and there "
                f"are {len(faces)}; use fewer looks, or more pictures"
            )
        cells = self.cells_of(faces).flatten(1)
        mean = cells.mean(0)
        _, spread, axes = torch.linalg.svd(cells - mean, full_matrices=False)
        self.get_buffer("look_mean").copy_(mean)
        self.get_buffer("look_axes").copy_(axes[:count])
        self.get_buffer("look_spread").copy_(spread[:count] / math.sqrt(len(faces) - 1))

    def cells_of(self, faces: Faces) -> Looks:
        """What of faces is a look: averages over cells."""
        return F.adaptive_avg_pool2d(faces, self.config.look_cells)

    def looks_of(self, faces: Faces) -> Looks:
        """The looks of faces, as far as the components tell."""
        mean, axes = self.get_buffer("look_mean"), self.get_buffer("look_axes")
        return self._as_looks((self.cells_of(faces).flatten(1) - mean) @ axes.T)

    def random_looks(self, grain: Grain) -> Looks:
        """Looks of strangers: Gaussian along the components."""
        numbers = grain[:, 3 * self.config.sees**2 :].to(self.canvas)
        return self._as_looks(numbers * self.get_buffer("look_spread"))

    def _as_looks(self, along: Float[Tensor, "faces components"]) -> Looks:
        flat = self.get_buffer("look_mean") + along @ self.get_buffer("look_axes")
        cells = self.config.look_cells
        return flat.reshape(-1, 3, cells, cells).clamp(0.0, 1.0)

    def view(self, faces: Faces, grain: Grain) -> Faces:
        """What M is shown of faces."""
        if not self.config.sees:
            return faces
        cells = F.adaptive_avg_pool2d(faces, self.config.sees)
        noise = grain[:, : 3 * self.config.sees**2].reshape(cells.shape).to(faces)
        noisy = (cells + self.config.noise * noise).clamp(0.0, 1.0)
        return F.interpolate(noisy, faces.shape[-2:], mode="bilinear")

    def modify(self, faces: Faces, grain: Grain, looks: Looks | None = None) -> Faces:
        """Modified faces, `(faces, 3, size, size)` in [0, 1].

        Args:
            faces: `(faces, 3, size, size)`.
            grain: of each face, see `grain`.
            looks: whom to make; None: strangers as `grain` has them. Without `modifier.looks` it
                is not used.
        """
        view = self.view(faces, grain)
        if not self.config.sees:
            shown: Tensor = self.network(view)
            return shown
        seen, wanted = view + self.canvas, None
        if self.config.looks:
            look = self.random_looks(grain) if looks is None else looks
            wanted = F.interpolate(look, faces.shape[-2:], mode="bilinear")
            seen = torch.cat([seen, wanted], 1)
        made: Tensor = self.network(seen)
        picture, cover = made[:, :3], made[:, 3:]
        if self.config.on_look and wanted is not None:
            picture = (wanted + 2.0 * picture - 1.0).clamp(0.0, 1.0)
        return cover * picture + (1.0 - cover) * view

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        """Modify the faces of the next stretch; `state` is the noise of each video."""
        grain: Grain = self.grain(clips.shape[0]) if state is None else state
        time = clips.shape[2]
        frames = to_frames(clips)
        of_frame = grain.repeat_interleave(time, 0)
        if boxes is None:
            modified = self._modified([frames], of_frame)[0]
        else:
            regions = face_regions(checked_boxes(boxes, clips, self.name).flatten(0, 1), frames)
            modified = self._pasted(frames, regions, of_frame)
        return Step(from_frames(modified, len(clips)), grain)

    def _pasted(
        self, frames: Frames, regions: list[tuple[int, int, int, int, int]], grain: Grain
    ) -> Frames:
        if not regions:
            return frames
        crops = [frames[i : i + 1, :, y0:y1, x0:x1] for i, x0, y0, x1, y1 in regions]
        new = self._modified(crops, grain[[region[0] for region in regions]])
        pasted = frames.clone()
        for (i, x0, y0, x1, y1), face in zip(regions, new, strict=True):
            pasted[i, :, y0:y1, x0:x1] = face[0]
        return pasted

    def _modified(self, crops: list[Tensor], grain: Grain) -> list[Tensor]:
        """Crops of any size, modified together, each back at its size."""
        size = (self.config.size, self.config.size)
        made = self.modify(torch.cat([resize_faces(crop, size) for crop in crops]), grain)
        parts = torch.split(made, [len(crop) for crop in crops])
        return [
            resize_faces(part, (int(crop.shape[-2]), int(crop.shape[-1])))
            for part, crop in zip(parts, crops, strict=True)
        ]


def face_regions(
    boxes: Float[Tensor, "frames boxes 4"], frames: Frames
) -> list[tuple[int, int, int, int, int]]:
    """Face boxes enlarged 1.6 times, as whole pixels: (frame, x0, y0, x1, y1), rounded outwards.

    Args:
        boxes: of each frame, NaN where there is none.
        frames: what they lie in; parts outside are cut off.
    """
    height, width = frames.shape[-2:]
    found = []
    for i, k in (~boxes.isnan().any(-1)).nonzero().tolist():
        x0, y0, x1, y1 = enlarged(boxes[i, k]).tolist()
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(width, math.ceil(x1)), min(height, math.ceil(y1))
        if left < right and top < bottom:
            found.append((i, left, top, right, bottom))
    return found


def save_modifier(modifier: FaceModifier, folder: Path, about: dict[str, Any]) -> None:
    """Write weights (safetensors) and their contract (JSON) into `folder`.

    Args:
        modifier: the modifier.
        folder: the run's folder.
        about: what it was trained on and for; shown to whoever loads it.
    """
    contract = {
        "contract": MODIFIER_CONTRACT,
        "name": modifier.name,
        "input": "RGB clips, float32 (batch, 3, time, height, width), values in [0, 1], with face "
        f"boxes, which it enlarges {FACE_ENLARGEMENT} times; or clips of one face region each",
        "output": "the same shape and range",
        "random": modifier.random,
        "modifier": modifier.config.model_dump(mode="json"),
        "about": about,
    }
    write_anonymizer(modifier, folder, contract)


def load_modifier(folder: Path) -> FaceModifier:
    """Load a modifier that `save_modifier` wrote; weights must fit exactly."""
    contract = read_contract(folder)
    if contract["contract"] != MODIFIER_CONTRACT:
        raise WeightsError(f"{folder} holds no face modifier but '{contract['contract']}'")
    try:
        config = ModifierConfig.model_validate(contract["modifier"])
        modifier = FaceModifier(config, name=str(contract["name"]))
        modifier.removes_nothing = not_trained(contract)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, error) from error
    modifier.folder = folder
    load_weights(modifier, folder / WEIGHTS_FILE)
    return modifier.eval()
