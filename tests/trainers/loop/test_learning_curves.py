from trainers.loop.learning_curves import read_learning_curves, write_learning_curves


def test_numbers_of_a_step_share_a_row_and_gaps_are_empty(tmp_path):
    lines = ['{"step": 0, "validation/loss": 0.7}', '{"step": 5, "train/sync": 0.69}']
    lines += ['{"step": 5, "validation/loss": null}', '{"step": 10, "train/sync": 0.5}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    write_learning_curves(tmp_path / "metrics.jsonl", tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        "step,train/sync,validation/loss",
        "0,,0.7",
        "5,0.69,",
        "10,0.5,",
    ]
    assert read_learning_curves(tmp_path / "curve.csv")[1] == {
        "step": 5.0,
        "train/sync": 0.69,
        "validation/loss": None,
    }
