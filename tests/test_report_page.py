import base64
import io
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.transforms import Bbox
from PIL import Image

from example_results import ATTACKERS, example_attacks, example_previews, example_result
from unseen.errors import DataError
from unseen.evaluation.results import write_previews, write_result
from unseen.report.figures import FAMILY_COLOURS
from unseen.report.labels import place_labels
from unseen.report.media import loop, strip
from unseen.report.page import write_report

VOID = {"meta", "img", "br", "source"}
POINTS: list[dict[str, Any]] = [
    {"name": "downsample:8", "accuracy": 0.746, "leak": 0.874, "learned": False},
    {"name": "blur:4 <b>", "accuracy": 0.862, "leak": 0.927, "learned": False},
    {"name": "quiet", "accuracy": 0.951, "leak": 0.213},
    {"name": "raw", "accuracy": 0.962, "leak": 0.983, "learned": False},
]


class Page(HTMLParser):
    """A page taken apart; unbalanced tags fail."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def every(self, tag: str, name: str) -> list[str]:
        return [value for each, key, value in self.attributes if (each, key) == (tag, name)]


def write_inputs(folder: Path, raw: bool = True, **options: Any) -> list[Path]:
    paths = []
    for point in POINTS:
        run = folder / re.sub(r"\W", "-", point["name"])
        write_result(run / "result.json", example_result(**point, **options))
        codec = options.get("codec", True)
        write_previews(run / "result.json", example_previews(raw=raw, codec=codec))
        paths.append(run)
    return paths


def figures_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(figures_in, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(figures_in, value))
    elif isinstance(value, int | float):
        yield float(value)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_inputs(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def html(inputs: list[Path]) -> str:
    out = inputs[0].parent / "sub" / "report.html"
    write_report(inputs, out, title="A & B")
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_it_needs_nothing_but_itself(html: str, page: Page) -> None:
    linked = [value for _, name, value in page.attributes if name in ("src", "srcset", "href")]
    assert linked
    assert all(value.startswith("data:") for value in linked)
    assert not re.search(r"""url\(|@import|<script|<link|<iframe|https?://""", html)
    assert len(page.every("img", "alt")) == len(page.every("img", "src"))
    assert all(page.every("img", "alt"))


def test_every_figure_is_an_svg_for_wide_and_narrow(page: Page) -> None:
    wide = [uri for uri in page.every("img", "src") if uri.startswith("data:image/svg")]
    narrow = page.every("source", "srcset")
    # Trade-off, A_B^k; and of the one learned filter bars, learning and training curves.
    assert len(wide) == len(narrow) == 5
    for large, small in zip(wide, narrow, strict=True):
        widths = []
        for uri in (large, small):
            root = ElementTree.fromstring(base64.b64decode(uri.split(",")[1]))
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            widths.append(float(root.attrib["width"].removesuffix("pt")))
        assert widths[0] > widths[1] <= 290  # 390 CSS pixels, in points


def test_the_result_in_words(page: Page) -> None:
    assert page.text.count("A & B") == 2
    # Through the codec: the target less 0.4 points, the leak less 1.1.
    assert (
        "Through quiet, the action is recognised in 94.7% of clips (raw: 95.8%), and the best of "
        "3 unseen attackers finds the pair in 21.3% of clips before the codec (chance 7.7%, raw: "
        "98.3%)."
    ) in page.text
    assert (
        "The handcrafted anonymizer nearest to it in leak: through downsample:8, the action is "
        "recognised in 74.2% of clips, and the best of 3 unseen attackers finds the pair in 87.4%"
    ) in page.text
    assert "written with h264:crf=23 and read back" in page.text


def test_the_table_has_every_figure(page: Page) -> None:
    own, retrained, leak = "93.8%", "95.1% 92.9–96.8%", "21.3% 17.0–25.2%"
    through = "94.7% 92.5–96.4% 20.2% 15.9–24.1% 45.6 k"
    assert f"quiet {own} {retrained} {leak} {through} 3 plain-net" in page.text
    assert "downsample:8 – 74.6%" in page.text
    for name, family in ATTACKERS.items():
        assert f"{name} {family} 12.3 k 3 4 s plateau" in page.text
    assert "quiet 4.32 k 2.5 M 0.75 98.8 k – –" in page.text
    assert "raw – – – – – –" in page.text
    assert "ab" * 32 in page.text
    assert "0123456789ab 7 cpu – 12 s" in page.text
    assert "0123456789ab-dirty 7 cpu – 12 s" in page.text


def test_stages_without_a_step_are_left_out(tmp_path: Path) -> None:
    result = example_result()
    names = {"reconstruct": 0, "target": 0, "budget": 10, "game": 10}
    result["training"]["stages"] = [{"name": n, "step": step} for n, step in names.items()]
    write_result(tmp_path / "r.json", result)
    write_report([tmp_path / "r.json"], tmp_path / "r.html")
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "target (0), game (10)" in text
    assert "reconstruct (0)" not in text
    assert "budget (10)" not in text


def test_no_percentage_is_made_up(inputs: list[Path], page: Page) -> None:
    results = [json.loads((run / "result.json").read_text()) for run in inputs]
    known = {f"{100 * value:.1f}" for value in figures_in(results)}
    shown = set(re.findall(r"(\d+\.\d)(?=%|–\d)", page.text))
    alts = set(re.findall(r"(\d+\.\d)%", " ".join(page.every("img", "alt"))))
    assert len(shown) > 30
    assert len(alts) > 10
    assert shown | alts <= known


def test_names_are_text_and_not_markup(html: str, page: Page) -> None:
    assert "blur:4 <b>" in page.text
    assert "<b>" not in html
    assert "<script>alert(1)</script>" in page.text


def test_figures_name_what_they_show(page: Page) -> None:
    alts = page.every("img", "alt")
    (tradeoff,) = [alt for alt in alts if alt.startswith("Trade-off")]
    for label, leak, target in [("quiet", "20.2%", "94.7%"), ("raw", "97.2%", "95.8%")]:
        assert f"{label}: leak {leak}, target {target}" in tradeoff
    (bars,) = [alt for alt in alts if alt.startswith("Accuracy of each attacker on quiet")]
    assert bars.endswith("plain-net 21.3%, clip-3d 18.2%, resnet-tiny 13.3%")
    (training,) = [alt for alt in alts if alt.startswith("Training of quiet")]
    assert training.endswith("2 restarts at steps 20, 40")


def test_same_results_same_bytes(inputs: list[Path], html: str, tmp_path: Path) -> None:
    write_report(inputs, tmp_path / "again.html", title="A & B")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_loops_of_every_form(page: Page) -> None:
    labels = page.every("img", "alt")
    for label in ("raw", "anonymized", "read back from h264:crf=23"):
        assert labels.count(label) == 3  # two clips as loops, the first as a strip
    assert labels.count("downsample:8") == 1
    uris = dict(zip(page.every("img", "src"), labels, strict=True))
    animated = [uri for uri in uris if uri.startswith("data:image/webp")]
    frames = [Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) for uri in animated]
    counts = [getattr(image, "n_frames", 1) for image in frames]
    assert sorted(set(counts)) == [1, 4]


def test_real_people_are_not_shown_raw(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path, raw=False, codec=False, metric="cmap")
    write_report(paths, tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    labels = page.every("img", "alt")
    assert "anonymized" in labels
    assert "raw" not in labels
    assert "No raw video is shown." in page.text
    # Several yes/no attributes, and no codec.
    assert "before any codec" in page.text
    assert "reaches a cMAP of 21.3% on hat, beard (chance 7.7%, raw: 98.3%)" in page.text
    assert "To hide: hat, beard (2 attributes)" in page.text
    assert "read back" not in page.text


def test_the_data_on_which_the_leak_was_measured_is_named(tmp_path: Path) -> None:
    result = example_result(metric="cmap")
    counts = {"train": 1234, "val": 50, "test": 60}
    other = {"name": "elsewhere", "hash": "cd" * 32, "fps": 25.0, "counts": counts}
    result["data"]["private_data"] = other
    write_result(tmp_path / "r.json", result)
    write_report([tmp_path / "r.json"], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert (
        "To hide: hat, beard (2 attributes), learned and measured on other data: elsewhere, 1,234 "
        "clips to train, 50 to validate, 60 to test." in page.text
    )


def test_without_a_common_codec_the_plot_is_before_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_result(one, example_result("same", 0.9, 0.3, learned=False))
    write_result(two, example_result("same", 0.8, 0.2, learned=False, codec=False))
    write_report([one, two, one], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    (tradeoff,) = [alt for alt in page.every("img", "alt") if alt.startswith("Trade-off")]
    # Handcrafted ones by leak; equal names are told apart; a file given twice counts once.
    assert tradeoff.endswith("same: leak 20.0%, target 80.0%; same (2): leak 30.0%, target 90.0%")
    assert "There is no learned filter among these results." in page.text
    assert "same – 80.0% 77.8–81.7% 20.0% 15.7–23.9% – – – – 3" in page.text


def test_other_attacks_have_a_table_and_count_for_the_leak(tmp_path: Path) -> None:
    result = example_result()
    result["privacy"] |= example_attacks(0.31, "reconstruct")
    result["codec"]["privacy"] |= example_attacks(0.29, "retrieve")
    result["privacy"]["attacks"]["retrieve"]["stopped"] = "cap"
    write_result(tmp_path / "result.json", result)
    write_previews(tmp_path / "result.json", example_previews(reconstructed=True))
    write_report([tmp_path], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    found = (
        "and the reconstruction attack finds the pair in 31.0% of clips before the codec (chance"
    )
    assert found in page.text
    assert (
        "quiet reconstruction 31.0% 27.0–34.0% 19.0% 15.0–22.0% 98.7% "
        "0.412 (18.3) 0.123 (11.2) 0.401 (17.1) – – plateau"
    ) in page.text
    assert "quiet retrieval 21.0% 17.0–24.0% 29.0% 25.0–32.0% – – – – 18.7% 9.4% cap" in page.text
    curriculum = "quiet curriculum 21.0% 17.0–24.0% 19.0% 15.0–22.0% 97.6% – – – – – plateau"
    assert curriculum in page.text
    assert "may be too low: quiet: the retrieval attack." in page.text
    assert page.every("img", "alt").count("reconstructed by an attacker") == 3


def test_twenty_attackers_of_as_many_families_can_be_told_apart() -> None:
    assert len(set(FAMILY_COLOURS)) == 20


def test_a_capped_model_is_reported(tmp_path: Path) -> None:
    result = example_result()
    result["privacy"]["attackers"][2]["stopped"] = "cap"
    result["target"]["stopped"] = "cap"
    write_result(tmp_path / "result.json", result)
    write_report([tmp_path], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "may be too low: quiet: clip-3d, the target model." in page.text


def test_attackers_that_never_learned_are_named(tmp_path: Path) -> None:
    result = example_result()
    privacy = result["privacy"]  # of a loss of 2/3 at the least

    def told() -> str:
        write_result(tmp_path / "result.json", result)
        write_report([tmp_path], tmp_path / "r.html")
        return Page((tmp_path / "r.html").read_text(encoding="utf-8")).text

    assert "next to nothing" not in told()  # older results do not say what a guess would cost
    privacy["blind_loss"] = 1.0
    for name, loss in (("resnet-tiny", 0.991), ("plain-net", 0.989), ("clip-3d", None)):
        attacker = next(each for each in privacy["attackers"] if each["name"] == name)
        attacker["curve"][-1]["train_loss"] = loss
    assert "say little of what could be read: quiet: resnet-tiny, clip-3d." in told()
    privacy["attackers"][0]["stopped"] = "cap"  # which is told as such
    assert "say little of what could be read: quiet: clip-3d." in told()


def test_the_barest_result_makes_a_page(tmp_path: Path) -> None:
    result = example_result(codec=False)
    privacy = result["privacy"]
    privacy["attackers"] = [privacy["attackers"][1] | {"curve": []}]
    privacy |= {"leak_by_n": [privacy["leak"]], "mean": privacy["leak"]}
    result["target"]["curve"] = []
    result["training"] |= {"rows": [], "restarts": [], "stages": []}
    result |= {"cost": None, "commit": None}
    write_result(tmp_path / "result.json", result)
    write_report([tmp_path], tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "the one unseen attacker finds the pair in 21.3% of clips (chance 7.7%)." in page.text
    assert "quiet – – – – – –" in page.text
    assert "Training" not in page.text
    assert "What it looks like" not in page.text


def test_every_missing_or_broken_result_is_listed(tmp_path: Path, inputs: list[Path]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text("{}")
    paths = [tmp_path / "gone.json", inputs[0], tmp_path / "empty", tmp_path / "broken.json"]
    with pytest.raises(DataError) as error:
        write_report(paths, tmp_path / "r.html")
    text = str(error.value)
    assert f"{tmp_path / 'gone.json'}: no such file" in text
    assert f"{tmp_path / 'empty' / 'result.json'}: no such file" in text
    assert f"{tmp_path / 'broken.json'}: the document: lacks schema" in text
    assert not (tmp_path / "r.html").exists()
    with pytest.raises(DataError, match="at least one result"):
        write_report([], tmp_path / "r.html")


def test_results_of_other_data_are_refused(tmp_path: Path) -> None:
    one, other = example_result("one"), example_result("two")
    other["data"]["hash"] = "cd" * 32
    write_result(tmp_path / "one.json", one)
    write_result(tmp_path / "two.json", other)
    with pytest.raises(DataError, match="different data") as error:
        write_report([tmp_path / "one.json", tmp_path / "two.json"], tmp_path / "r.html")
    assert len(error.value.faults) == 2
    assert not (tmp_path / "r.html").exists()


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_a_small_loop_is_exact() -> None:
    clip = example_previews().after[0]
    still = loop(clip, fps=12.5, label="x")
    assert (still.width, still.height) == (8 * 32, 8 * 24)
    image = decoded(still.uri)
    assert image.info["loop"] == 0
    for index, frame in enumerate(clip):
        image.seek(index)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), frame)
        assert image.info["duration"] == 80
    sheet = np.asarray(decoded(strip(clip, "x").uri).convert("RGB"))
    assert sheet.shape == (24, 4 * 32 + 3, 3)
    np.testing.assert_array_equal(sheet[:, -32:], clip[-1])


def test_a_large_loop_is_scaled_down() -> None:
    clip = np.zeros((60, 480, 640, 3), np.uint8)
    clip[:, :, 320:] = 255
    clip[::2, :240] = 128  # frames that are alike would be stored as one
    still = loop(clip, fps=30, label="x")
    image = decoded(still.uri)
    assert image.size == (still.width, still.height) == (256, 192)
    assert getattr(image, "n_frames", 1) == 48
    bottom = np.asarray(image.convert("RGB"))[150]
    assert bottom[:120].max() < 10
    assert bottom[136:].min() > 245


@pytest.mark.parametrize("seed", range(3))
def test_labels_cover_neither_each_other_nor_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster = rng.normal((560, 340), (8, 14), size=(7, 2))
    points = [(float(x), float(y)) for x, y in [*cluster, (120.0, 350.0), (1.0, 1.0)]]
    sizes = [(float(rng.uniform(30, 90)), 11.0) for _ in points]
    frame = Bbox.from_bounds(0, 0, 600, 400)
    places = place_labels(points, sizes, frame)
    for place, (width, height) in zip(places, sizes, strict=True):
        assert place.box.width == pytest.approx(width)
        assert place.box.height == pytest.approx(height)
        assert place.box.x0 >= -0.1
        assert place.box.x1 <= 600.1
        assert place.box.y0 >= -0.1
        assert place.box.y1 <= 400.1
        for x, y in points:
            assert not place.box.contains(x, y)
    for one, other in itertools.combinations(places, 2):
        shared = Bbox.intersection(one.box, other.box)
        assert shared is None or shared.width * shared.height < 1
