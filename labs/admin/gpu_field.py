"""GPU models in the form of a cluster: a line of inputs for each, in the place of JSON."""

from __future__ import annotations

from typing import Any

from django import forms

#: Keys of a model as `labs.models.cluster.check_gpu_models` wants them, with the heads of their columns, in this order.
COLUMNS = {
    "name": "Name",
    "title": "Title",
    "memory_gib": "GiB per GPU",
    "count": "Count",
    "node_labels": "Node labels",
}
EXAMPLES = {
    "name": "a100",
    "title": "A100 80 GB",
    "memory_gib": "80",
    "count": "8",
    "node_labels": "nvidia.com/gpu.product=A100",
}
#: Empty lines after the models that are there.
SPARE = 2
MOST = 60

Line = dict[str, str]


class GpuModelsWidget(forms.Widget):
    """Sends `<name>-<number>-<key>`, and how many lines there are as `<name>-lines`."""

    template_name = "admin/parts/gpu_models.html"

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        lines: list[Line] = [*(value or []), *({} for _ in range(SPARE))]
        context["widget"] |= {
            "columns": COLUMNS.values(),
            "count": len(lines),
            "lines": [
                [(f"{name}-{number}-{key}", head, line.get(key, ""), EXAMPLES[key]) for key, head in COLUMNS.items()]
                for number, line in enumerate(lines)
            ],
        }
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Line]:
        count = str(data.get(f"{name}-lines", ""))
        numbers = range(min(int(count), MOST) if count.isdecimal() and len(count) < 4 else 0)
        lines = ({key: str(data.get(f"{name}-{number}-{key}", "")).strip() for key in COLUMNS} for number in numbers)
        return [line for line in lines if any(line.values())]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-lines" not in data


class GpuModelsField(forms.Field):
    """A list of models. What cannot be read is told with the number of its line, and stays as it was typed."""

    widget = GpuModelsWidget

    def prepare_value(self, value: Any) -> list[Line]:
        return [_line(model) for model in value or []]

    def to_python(self, value: Any) -> list[dict[str, Any]]:
        found, problems = [], []
        for number, line in enumerate(value or [], start=1):
            try:
                found.append(_model(line))
            except ValueError as problem:
                problems.append(f"GPU model {number}: {problem}")
        if problems:
            raise forms.ValidationError(problems)
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != self.prepare_value(data)


def _line(model: dict[str, Any]) -> Line:
    labels = model.get("node_labels") or {}
    if isinstance(labels, dict):
        labels = ", ".join(f"{key}={value}" for key, value in labels.items())
    texts = {key: str(model[key]) for key in COLUMNS if model.get(key) not in (None, "")}
    return texts | ({"node_labels": str(labels)} if labels else {})


def _model(line: Line) -> dict[str, Any]:
    """Raises ValueError with a sentence."""
    model: dict[str, Any] = {key: line[key] for key in ("name", "title") if line[key]}
    for key in ("memory_gib", "count"):
        if not ((line[key].isascii() and line[key].isdecimal() and len(line[key]) < 9) or not line[key]):
            raise ValueError(f"“{COLUMNS[key]}” must be a whole number, such as {EXAMPLES[key]}.")
        if line[key]:
            model[key] = int(line[key])
    labels = {}
    for pair in line["node_labels"].replace(",", " ").split():
        label, sign, value = pair.partition("=")
        if not (label and sign):
            raise ValueError(f"write labels as name=value, such as {EXAMPLES['node_labels']}.")
        labels[label] = value
    return model | ({"node_labels": labels} if labels else {})
