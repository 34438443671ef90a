import pytest

from controlplane.access.access import Access
from controlplane.errors import Unauthenticated
from controlplane.storage.keys import KeyFolder
from controlplane.storage.models import ApiKey

KEY = "a-key-of-more-than-sixteen-characters"


@pytest.fixture
def keys(tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    folder.prepare()
    return folder


async def test_given_key_identifies_its_organisation(database, keys, clock):
    access = Access(database, keys, clock)
    await access.ensure_first_key(KEY)

    caller = await access.identify(f"Bearer {KEY}")

    assert caller.organisation_id == "default"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {KEY}", f"Bearer {KEY}x", KEY, "Bearer é"]
)
async def test_anything_else_is_refused(database, keys, clock, header):
    access = Access(database, keys, clock)
    await access.ensure_first_key(KEY)

    with pytest.raises(Unauthenticated):
        await access.identify(header)


async def test_first_key_is_made_once_and_kept(database, keys, clock):
    access = Access(database, keys, clock)
    await access.ensure_first_key(None)
    made = keys.read_api_key()

    await access.ensure_first_key(None)

    assert keys.read_api_key() == made
    await access.identify(f"Bearer {made}")


async def test_given_key_takes_the_place_of_the_former_one(database, keys, clock):
    access = Access(database, keys, clock)
    await access.ensure_first_key(KEY)

    await access.ensure_first_key(KEY + "-new")

    await access.identify(f"Bearer {KEY}-new")
    with pytest.raises(Unauthenticated):
        await access.identify(f"Bearer {KEY}")


async def test_key_given_at_an_earlier_start_stays_valid_without_it(database, keys, clock):
    access = Access(database, keys, clock)
    await access.ensure_first_key(KEY)

    await access.ensure_first_key(None)

    await access.identify(f"Bearer {KEY}")
    assert keys.read_api_key() is None


async def test_database_holds_no_key(database, keys, clock):
    await Access(database, keys, clock).ensure_first_key(KEY)

    async with database.reading() as session:
        (row,) = await session.scalars(ApiKey.__table__.select().with_only_columns(ApiKey.hmac))

    assert KEY not in row
    assert len(row) == 64
