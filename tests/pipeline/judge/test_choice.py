"""Which judge scores when SyncNet is asked for, with and without its weights."""

import json
import types
from pathlib import Path

import pytest

import pipeline.judge.syncnet
from pipeline.errors import WeightsError, WeightsUnavailableError
from pipeline.judge.choice import NOT_FETCHED, Choice, choose
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import weights_sha256
from pipeline.params.curation import SyncParams
from pipeline.weights import files as weights
from pipeline.weights import first_use

ASKED = SyncParams(judge="syncnet", syncnet_mode="masked")


def weights_module(
    monkeypatch: pytest.MonkeyPatch, found: Path | WeightsError, digest: str = "5a" * 32
) -> list[str]:
    """Stand in for pipeline.judge.syncnet.weights; return the paths it is asked for."""
    asked: list[str] = []

    def find(path: str) -> Path:
        asked.append(path)
        if isinstance(found, WeightsError):
            raise found
        return found

    module = types.SimpleNamespace(find=find)
    if not isinstance(found, WeightsError):
        monkeypatch.setattr("pipeline.judge.choice.weights_file_sha256", lambda path: digest)
    monkeypatch.setattr(pipeline.judge.syncnet, "weights", module, raising=False)
    return asked


def test_the_landmark_judge_needs_no_word_of_syncnet(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = weights_module(monkeypatch, WeightsError("never asked"))
    choice = choose(SyncParams())
    assert (choice.judge, choice.mode, choice.fallback) == ("landmark", "masked", "")
    assert choice.weights() == {"landmark_judge.safetensors": weights_sha256()}
    assert isinstance(choice.load(), LandmarkJudge)
    assert asked == []


def test_syncnet_with_weights_is_identified_by_their_digest_and_its_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = weights_module(monkeypatch, tmp_path / "syncnet_v2.model")
    choice = choose(ASKED.model_copy(update={"syncnet_weights": "here.model"}))
    assert asked == ["here.model"]
    assert choice.weights() == {"syncnet_v2.model": "5a" * 32}
    assert choice.cache_params() == {
        "judge": "syncnet", "mode": "masked", "precision": "float32", "fallback": "",
    }  # fmt: skip


def test_the_judge_that_scores_is_the_one_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights_module(monkeypatch, WeightsUnavailableError("syncnet_v2.model: no network"))
    with pytest.raises(WeightsUnavailableError) as stopped:
        choose(ASKED)
    for part in ("syncnet_v2.model: no network", "params.yaml", "sync.fallback", "weights fetch"):
        assert part in str(stopped.value)


def test_without_weights_the_landmark_judge_scores_if_asked_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights_module(monkeypatch, WeightsUnavailableError("https://a.host/x: no network"))
    choice = choose(ASKED.model_copy(update={"fallback": "landmark"}))
    assert (choice.judge, choice.mode, choice.fallback) == ("landmark", "masked", NOT_FETCHED)
    said = capsys.readouterr().err
    assert "https://a.host/x: no network" in said
    assert "landmark judge scores instead" in said
    assert "DVC does not see" in said
    assert "dvc repro -f sync" in said
    assert "a.host" not in repr(choice)


@pytest.mark.parametrize("record", ['{"syncnet_v2.model": "' + "5a" * 32 + '"}', "{damaged"])
def test_only_a_download_that_does_not_come_lets_another_judge_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record: str
) -> None:
    """Other bytes than the pinned ones, or a damaged record of trust, stop the run."""
    (tmp_path / "syncnet_v2.model").write_bytes(b"other bytes")
    (tmp_path / "trusted.lock.json").write_text(record)
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(first_use, "PINNED", tmp_path / "trusted.lock.json")
    with pytest.raises(WeightsError, match=r"was trusted at first use|restore it with git"):
        choose(ASKED)


def test_a_home_that_cannot_be_reached_lets_the_landmark_judge_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (entry,) = [one for one in weights._lock(weights.LOCK)["weights"] if "syncnet" in one["name"]]
    lock = {"wheels": {}, "weights": [{**entry, "location": "http://127.0.0.1:1/x"}]}
    (tmp_path / "lock.json").write_text(json.dumps(lock))
    monkeypatch.setattr(weights, "LOCK", tmp_path / "lock.json")
    monkeypatch.setattr(first_use, "PINNED", tmp_path / "trusted.lock.json")
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(WeightsUnavailableError, match=r"sync\.fallback"):
        choose(ASKED)
    assert choose(ASKED.model_copy(update={"fallback": "landmark"})).fallback == NOT_FETCHED


def test_a_path_that_the_user_named_is_never_replaced_by_another_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights_module(monkeypatch, WeightsError("here.model: no such file"))
    with pytest.raises(WeightsError, match="no such file"):
        choose(ASKED.model_copy(update={"syncnet_weights": "here.model"}))


def test_a_worker_with_other_weights_than_the_driver_s_stops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pipeline.judge.syncnet.judge")
    weights_module(monkeypatch, tmp_path / "syncnet_v2.model")
    with pytest.raises(WeightsError, match="the run was started with"):
        Choice("syncnet", "reference", "float32", "6b" * 32).load()
    with pytest.raises(WeightsError, match=r"landmark_judge\.safetensors: SHA-256 .* started with"):
        Choice("landmark", "masked", "float32", "6b" * 32).load()
