"""The embedded API server refuses what is over the limits in the words that were recorded of a real one."""

from pathlib import Path

from tests.k8s.recording import answers
from tests.k8s.recording.stage import Stage
from tests.k8s.test_diagnosis import CASES


def test_limits_are_refused_in_the_words_of_a_real_server(embedded_kubeconfig: str, tmp_path: Path) -> None:
    stage = Stage(Path(embedded_kubeconfig), tmp_path)
    try:
        stage.namespace(answers.OPEN)
        said = {f"{cause}/{case}": seen["error"] for cause, case, seen in answers.limits(stage)}
    finally:
        stage.close()
    assert said == {name: CASES[name]["error"] for name in said}
    assert len(said) == 12
