"""Objects that a manifest names are taken only as they were written."""

import hashlib

import pytest

from user_analytics.errors import CorruptObject, LakeError
from user_analytics.lake.manifest import DataFile
from user_analytics.lake.store import Store
from user_analytics.lake.verified import read_verified

BODY = b"0123456789" * 1000
FILE = DataFile(key="raw/part", size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest(), rows=1)


def test_an_object_as_it_was_written_is_read(lake: Store) -> None:
    lake.put(FILE.key, BODY)

    assert read_verified(lake, FILE) == BODY


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        pytest.param(BODY[:-1], "it has 9999 bytes, its manifest says 10000", id="truncated"),
        pytest.param(b"", "it has 0 bytes, its manifest says 10000", id="emptied"),
        pytest.param(BODY + b"x" * 9, "it has more than 10000 bytes, its manifest says 10000", id="longer"),
        pytest.param(b"x" + BODY[1:], f"its manifest says {FILE.sha256}", id="altered"),
    ],
)
def test_an_object_that_differs_is_refused_by_name(lake: Store, body: bytes, difference: str) -> None:
    lake.put(FILE.key, body)

    with pytest.raises(CorruptObject, match=r"raw/part was truncated or altered: .*run the ingestion") as error:
        read_verified(lake, FILE)

    assert difference in str(error.value)


def test_an_object_that_is_missing_is_refused_by_name(lake: Store) -> None:
    with pytest.raises(LakeError, match="raw/part"):
        read_verified(lake, FILE)
