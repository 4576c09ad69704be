"""json_values: what hypothesis draws where any JSON may come."""

from __future__ import annotations

from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(max_size=70) | st.sampled_from(["$or", "a.b"]), inner, max_size=6)
    ),
    max_leaves=20,
)
