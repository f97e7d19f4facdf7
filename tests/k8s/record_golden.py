"""Records what a real control plane says, for the tests of the diagnosis:

    python -m tests.k8s.record_golden KUBECONFIG    (an administrator's, of a control plane without nodes of its own)

For each cause of the table there is a file golden/causes/<cause>.json with its cases. A case says by `source` where it
comes from:

recorded   provoked on a real kube-apiserver, kube-scheduler and kube-controller-manager, by this program
embedded   provoked by this program on a real API server, told by the embedded cluster's kubelet
written    by hand after the sources that `after` names: what only a real kubelet, container runtime or registry says

Written cases stay as they are. A recording that differs from the last one in nothing but times is not written.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s import examples
from tests.k8s.recording import answers, machines, placing
from tests.k8s.recording.stage import Recording, Stage

CAUSES = examples.GOLDEN / "causes"
SCENES = {
    "answers": (answers.record, "recorded"),
    "placing": (placing.record, "recorded"),
    "taken_away": (machines.taken_away, "recorded"),
    "programs": (machines.programs, "embedded"),
}


def write(recording: Recording, source: str, version: str) -> bool:
    """Keep one recording; False: it says what the last one said."""
    cause, case, seen = recording
    file = CAUSES / f"{cause}.json"
    cases: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    fresh = {"source": source, "server": version, **seen}
    if case in cases and _timeless(cases[case]) == _timeless(fresh):
        return False
    cases[case] = fresh
    file.write_text(json.dumps(cases, indent=1) + "\n")
    return True


def _timeless(case: dict[str, Any]) -> str:
    text = json.dumps({**case, "server": ""}, sort_keys=True)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "", text)
    return re.sub(r'"count": \d+', "", text)


def scenes(stage: Stage, names: list[str]) -> Iterator[tuple[Recording, str]]:
    """Every recording of these scenes with its source."""
    for name in names:
        record, source = SCENES[name]
        for recording in record(stage):
            yield recording, source


def main() -> None:
    kubeconfig, *names = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(kubeconfig), Path(folder))
        version = stage.client.version()
        try:
            for recording, source in scenes(stage, names or list(SCENES)):
                cause, case, _ = recording
                print(f"{'new ' if write(recording, source, version) else 'same'} {cause}: {case}", flush=True)
        finally:
            stage.close()


if __name__ == "__main__":
    main()
