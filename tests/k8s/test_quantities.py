import pytest

from k8s import quantities


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("250m", 250),
        ("2", 2000),
        (2, 2000),
        ("0.25", 250),
        (".5", 500),
        ("1.", 1000),
        ("1e3", 1_000_000),
        ("1n", 1),
        ("0", 0),
    ],
)
def test_cpu_is_read_in_thousandths(text: str | int, millis: int) -> None:
    assert quantities.cpu_millis(text) == millis


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512Mi", 512 * 2**20),
        ("1.5Gi", 3 * 2**29),
        ("1G", 10**9),
        ("1k", 1000),
        ("100m", 1),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-3", 1),
        ("128974848", 128974848),
    ],
)
def test_memory_is_read_in_bytes(text: str, size: int) -> None:
    assert quantities.memory_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "Infinity", "inf", "NaN", "nan", "1 Gi", " 1", "1\n", "-1", "+1", "1GI", "1gb", "0x10", "1_000", "1e100",
        "1e999999999", "1.2.3", ".", "m", "٣", "1" * 30, "16E", True, None, 1.5,
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"quantity|too large"):
        quantities.memory_bytes(text)  # type: ignore[arg-type]


def test_count_is_whole() -> None:
    assert quantities.count("3") == 3
    with pytest.raises(ValueError, match="whole"):
        quantities.count("500m")


@pytest.mark.parametrize(("millis", "text"), [(250, "250m"), (2000, "2"), (2500, "2500m"), (0, "0")])
def test_cpu_is_written_and_read_back(millis: int, text: str) -> None:
    assert quantities.format_cpu(millis) == text
    assert quantities.cpu_millis(text) == millis


@pytest.mark.parametrize(
    ("size", "text"), [(2**29, "512Mi"), (2**30, "1Gi"), (3 * 2**29, "1536Mi"), (1000, "1000"), (0, "0")]
)
def test_memory_is_written_and_read_back(size: int, text: str) -> None:
    assert quantities.format_memory(size) == text
    assert quantities.memory_bytes(text) == size


def test_negative_amounts_are_not_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        quantities.format_cpu(-1)
