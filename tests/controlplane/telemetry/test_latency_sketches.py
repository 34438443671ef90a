import pytest
from ddsketch import DDSketch
from ddsketch.pb import ddsketch_pb2
from ddsketch.pb.proto import DDSketchProto

from controlplane.telemetry import sketches


def sketch(values, accuracy=0.01):
    made = DDSketch(accuracy)
    for value in values:
        made.add(value)
    return DDSketchProto.to_proto(made).SerializeToString()


def test_quantiles_of_merged_sketches_are_those_of_all_values():
    parts = [sketch(range(1, 501)), sketch(range(501, 1001))]

    found = sketches.quantiles([sketches.merged(*parts)], (0.5, 0.99))

    assert found["p50"] == pytest.approx(500, rel=0.02)
    assert found["p99"] == pytest.approx(990, rel=0.02)


def test_merging_goes_on_after_many_rounds():
    total = b""
    for _ in range(50):
        total = sketches.merged(total, sketch([1.0, 2.0]))

    assert sketches.quantiles([total], (0.9,))["p90"] == pytest.approx(2.0, rel=0.02)


def test_nothing_has_no_quantile():
    assert sketches.quantiles([b"", b""], (0.5,)) is None


def test_sketch_that_asks_for_a_huge_table_is_refused():
    message = ddsketch_pb2.DDSketch.FromString(sketch([1.0]))
    message.positiveValues.contiguousBinIndexOffset = 2**30

    with pytest.raises(sketches.SketchInvalid):
        sketches.merged(b"", message.SerializeToString())


@pytest.mark.parametrize(
    "content", [b"\xff\xff\xff", b"x" * (sketches.MAX_BYTES + 1), sketch([1.0], accuracy=0.05)]
)
def test_what_cannot_be_merged_is_refused(content):
    with pytest.raises(sketches.SketchInvalid):
        sketches.merged(sketch([1.0]), content)
