"""API keys as rows: made, listed, revoked; and what a scope permits."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from controlplane.access.access import Access
from controlplane.access.keys import Keys
from controlplane.access.scopes import SCOPES, Caller
from controlplane.api.doorkeeper import needed_scope
from controlplane.errors import KeyExists, KeyUnknown, LastKey, ScopeMissing, Unauthenticated
from controlplane.storage.keys import KeyFolder
from controlplane.storage.models import ApiKey

FIRST = "a-key-of-more-than-sixteen-characters"


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.prepare()
    return made


@pytest.fixture
async def access(database, folder, clock):
    made = Access(database, folder, clock)
    await made.ensure_first_key(FIRST)
    return made


@pytest.fixture
def keys(access, database, folder, clock):
    return Keys(database, folder, clock)


@pytest.mark.parametrize("scope", SCOPES)
async def test_new_key_identifies_itself_by_name_and_scope(access, keys, scope):
    row, key = await keys.create("default", "ci", scope)

    caller = await access.identify(f"Bearer {key}")

    assert (caller.key_id, caller.key_name, caller.scope) == (row.id, "ci", scope)


async def test_first_key_may_everything(access):
    assert (await access.identify(f"Bearer {FIRST}")).scope == "admin"


async def test_revoked_key_is_refused_by_name_and_stays_in_the_list(access, keys):
    _, key = await keys.create("default", "ci", "read")

    await keys.revoke("default", "ci")

    with pytest.raises(Unauthenticated, match="'ci' was revoked"):
        await access.identify(f"Bearer {key}")
    assert [(row.name, row.revoked_at is None) for row in await keys.list("default")] == [
        ("first", True),
        ("ci", False),
    ]


async def test_name_is_free_again_after_revoking(access, keys):
    await keys.create("default", "ci", "read")
    with pytest.raises(KeyExists):
        await keys.create("default", "ci", "edge")
    await keys.revoke("default", "ci")

    _, second = await keys.create("default", "ci", "edge")

    assert (await access.identify(f"Bearer {second}")).scope == "edge"


async def test_key_is_revoked_once_and_only_by_its_organisation(access, keys):
    row, _ = await keys.create("default", "ci", "read")

    with pytest.raises(KeyUnknown):
        await keys.revoke("other", row.id)
    await keys.revoke("default", row.id)

    with pytest.raises(KeyUnknown):
        await keys.revoke("default", row.id)


async def test_last_key_of_an_administrator_cannot_be_revoked(access, keys):
    await keys.create("default", "ci", "read")
    with pytest.raises(LastKey):
        await keys.revoke("default", "first")

    await keys.create("default", "second", "admin")

    assert (await keys.revoke("default", "first")).revoked_at is not None


async def test_revoked_first_key_stays_revoked_at_the_next_start(access, keys):
    await keys.create("default", "second", "admin")
    await keys.revoke("default", "first")

    await access.ensure_first_key(FIRST)

    with pytest.raises(Unauthenticated, match="revoked"):
        await access.identify(f"Bearer {FIRST}")


async def test_another_first_key_may_be_given_after_one_was_revoked(access, keys):
    await keys.create("default", "second", "admin")
    await keys.revoke("default", "first")

    await access.ensure_first_key(FIRST + "-new")

    assert (await access.identify(f"Bearer {FIRST}-new")).scope == "admin"


async def test_key_of_another_name_given_at_a_start_stays_what_it_is(access, keys):
    _, key = await keys.create("default", "ci", "read")

    await access.ensure_first_key(key)

    assert (await access.identify(f"Bearer {key}")).scope == "read"
    assert (await access.identify(f"Bearer {FIRST}")).scope == "admin"


async def test_name_of_the_first_key_is_kept_for_it(keys):
    with pytest.raises(KeyExists):
        await keys.create("default", "first", "read")


async def test_keys_from_before_scopes_may_everything(database):
    async with database.writing() as session:
        columns = "id, organisation_id, name, hmac, created_at"
        await session.execute(
            text(f"INSERT INTO api_keys ({columns}) VALUES ('1', 'o', 'old', 'h', :now)"),  # noqa: S608 constants
            {"now": str(datetime.now(UTC))},
        )

    async with database.reading() as session:
        assert (await session.get(ApiKey, "1")).scope == "admin"


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("edge", {"edge"}), ("read", {"read"}), ("admin", {"edge", "read", "admin"})],
)
def test_scope_permits_itself_and_admin_everything(scope, allowed):
    caller = Caller(organisation_id="o", key_id="1", key_name="ci", scope=scope)

    for needed in SCOPES:
        if needed in allowed:
            caller.check(needed)
        else:
            with pytest.raises(ScopeMissing, match=f"'ci' has the scope '{scope}'.*'{needed}'"):
                caller.check(needed)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/api/v1/tasks", "read"),
        ("HEAD", "/api/v1/tasks", "read"),
        ("POST", "/api/v1/tasks", "admin"),
        ("DELETE", "/api/v1/tasks", "admin"),
        ("get", "/api/v1/tasks", "admin"),
        ("GET", "/api/v1/keys", "admin"),
    ],
)
def test_requests_that_change_something_need_admin(method, path, needed):
    assert needed_scope(method, path) == needed
