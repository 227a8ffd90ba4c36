"""Several target models behind one filter: sums by hand, and what the page says."""

import json
import shutil
from pathlib import Path

import pytest

from example_results import example_result
from tiny_game import tiny_config, tiny_data
from unseen.config import EvaluationConfig
from unseen.errors import DataError
from unseen.evaluation.results import write_result
from unseen.evaluation.target import train_target
from unseen.report.page import write_report
from unseen.report.tasks import read_targets, totals
from unseen.training.run import train
from visible import FIT

CONFIG = EvaluationConfig(
    target_model="c3d-small:4", target_fit=FIT.model_copy(update={"cap": 1}), jobs=1
)


def _cost(parameters: int, macs: int, ms: float | None) -> dict[str, float | None]:
    return {"parameters": parameters, "macs_per_frame": macs, "milliseconds_per_frame": ms}


def test_totals_by_hand() -> None:
    f_d = _cost(10, 100, 0.5)
    rows = totals(f_d, [_cost(1, 7, 0.25), _cost(2, 8, None), _cost(3, 9, 1.0)])
    assert [(row.what, *row.cost.values()) for row in rows] == [
        ("on the camera: one filter for all 3 tasks", 10, 100, 0.5),
        ("on the camera: a filter for each task", 30, 300, 1.5),
        ("on the camera: no filter, all 3 target models", 6, 24, None),
        ("in all: one filter, 3 target models", 16, 124, None),
        ("in all: 3 filters, 3 target models", 36, 324, None),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a made-up result and two further targets, the second compared with raw video."""
    folder = tmp_path_factory.mktemp("runs") / "quiet"
    train(tiny_config(), tiny_data(tiny_config()), folder)
    write_result(folder / "result.json", example_result())
    for column in ("skirt", "contact"):
        data = tiny_data(tiny_config(f"data.target={column}", "data.test=26"))
        train_target(folder, data, config=CONFIG, raw=column == "contact")
    return folder


def _text(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def test_the_page_shows_every_task_and_what_they_cost_together(run: Path, tmp_path: Path) -> None:
    skirt, contact = sorted(read_targets(run), key=lambda each: each.column, reverse=True)
    write_result(tmp_path / "raw.json", example_result("raw", 0.962, 0.983, learned=False))
    write_report([run, tmp_path / "raw.json"], tmp_path / "report.html")
    text = _text(tmp_path / "report.html")
    assert "One filter, 3 tasks: quiet" in text
    assert contact.raw is not None
    table = text[text.index("One filter, 3 tasks") :]
    for task, raw in ((contact, contact.raw.pixels), (skirt, None)):
        row = table[table.index(f"f<sub>T</sub> {task.column}") :]
        row = row[: row.index("</tr>")]
        assert task.anonymized.stored is not None
        shown = [raw, task.anonymized.pixels, task.anonymized.stored]
        for one in shown:
            assert one is None or f"{100 * one.score:.1f}%" in row
        # Three intervals, the metric, and the data, which are not those of the result.
        assert row.count("<small>") == 5 - (raw is None)
        assert "<small>on duet</small></th>" in row
        assert "cMAP" in row
    own = table[table.index("f<sub>T</sub> action") :]
    # Retrained behind the filter, through the codec, and on raw video by the raw result.
    assert all(figure in own[: own.index("</tr>")] for figure in ("95.1%", "94.7%", "96.2%"))
    together = 98_765 + skirt.cost.parameters + contact.cost.parameters
    whole = table[table.index("in all: 3 filters, 3 target models") :]
    assert f"<td>{(3 * 4_321 + together) / 1000:.3g} k</td>" in whole[: whole.index("</tr>")]


def test_a_task_on_the_data_of_the_result_needs_no_word(run: Path, tmp_path: Path) -> None:
    result = example_result("quiet")
    result["data"]["name"] = "duet"
    shutil.copytree(run, tmp_path / "quiet")
    write_result(tmp_path / "quiet" / "result.json", result)
    write_report([tmp_path / "quiet"], tmp_path / "report.html")
    text = _text(tmp_path / "report.html")
    assert "f<sub>T</sub> skirt</th>" in text


def test_a_result_of_another_anonymizer_in_the_folder_has_no_tasks(
    run: Path, tmp_path: Path
) -> None:
    write_result(run / "blur.json", example_result("blur:4", learned=False))
    write_report([run / "blur.json"], tmp_path / "report.html")
    assert "One filter" not in _text(tmp_path / "report.html")
    (run / "blur.json").unlink()


def test_targets_of_another_filter_are_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    contract = json.loads((other / "targets" / "skirt.json").read_text())
    contract["anonymizer"]["hash"] = "ab" * 32
    (other / "targets" / "skirt.json").write_text(json.dumps(contract))
    with pytest.raises(DataError, match=r"skirt\.json was trained behind another filter"):
        write_report([other], tmp_path / "report.html")
    (other / "targets" / "skirt.json").write_text("{")
    with pytest.raises(DataError, match=r"skirt\.json is damaged"):
        write_report([other], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_targets_has_none(tmp_path: Path) -> None:
    assert read_targets(tmp_path) == []
