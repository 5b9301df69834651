"""How a store of several managers is read: in pages of a few megabytes, whatever lies in it."""

import pytest

from swarmd.store.etcd.backend import next_page

MIB = 1 << 20


@pytest.mark.parametrize(
    ("rows", "size", "following"),
    [
        (64, 64 * 500, 256),  # small ones: it grows, by and by
        (1_024, 1_024 * 500, 2_000),
        (2_000, 0, 2_000),
        (64, 64 * MIB, 4),  # as large as a config may be, and more
        (2, 3 * MIB, 2),
        (1, 90 * MIB, 1),
    ],
)
def test_a_page_has_so_many_rows_that_it_has_a_few_megabytes(rows, size, following):
    assert following == next_page(rows, size)
