"""What a link is without any wire: which stream is whose."""

from hypothesis import given
from hypothesis import strategies as st

from rprov.transport.link import LINK_STREAM, stream_of


@given(st.integers(0, 2**32 - 1), st.integers(1, 70000))
def test_a_ue_never_travels_on_the_links_stream_unless_there_is_no_other(ue_id: int, negotiated: int) -> None:
    stream = stream_of(ue_id, negotiated)
    assert stream < max(2, min(negotiated, 256))
    assert (stream == LINK_STREAM) == (negotiated == 1)


def test_streams_of_a_ue_are_those_of_the_design() -> None:
    assert stream_of(0) == 1
    assert stream_of(254) == 255
    assert stream_of(255) == 1
    assert stream_of(9, 10) == 1
    assert stream_of(9, 65535) == 10
