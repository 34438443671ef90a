from itertools import pairwise

import pytest

from edged.agent.privacy.detection import find
from edged.agent.privacy.spans import Kind

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def found(text: str, context: str = "") -> list[tuple[str, str]]:
    return [(str(span.kind), text[span.start : span.end]) for span in find(text, context)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("write to ann.lee+x@mail.example.com.", "ann.lee+x@mail.example.com"),
        ("<mailto:ann@example.museum>", "ann@example.museum"),
        ("?email=ann%40example.org&x=1", "ann%40example.org"),
        ("ann&#64;example.org", "ann&#64;example.org"),
        ("jörg@müller.example", "jörg@müller.example"),
        ('"ann lee"@example.com', '"ann lee"@example.com'),
        ("root@[192.0.2.7]", "root@[192.0.2.7]"),
        ("ann@my_host.example", "ann@my_host.example"),
        ("ann＠example．com", "ann＠example．com"),
        (
            "d41d8cd98f00b204e9800998ecf8427e@example.com",
            "d41d8cd98f00b204e9800998ecf8427e@example.com",
        ),
        (f"{UUID}@mail.example.com is one", f"{UUID}@mail.example.com"),
    ],
)
def test_an_email_address_is_found(text, secret):
    assert found(text) == [("EMAIL", secret)]


@pytest.mark.parametrize(
    "text",
    ["meet me @ noon", "@ann said hi", "a@b", "ann at example dot", "3 @ 4.50", "x@@y.z"],
)
def test_an_at_sign_alone_is_no_email_address(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("from 203.0.113.9:8080 came", "203.0.113.9"),
        ("192.168.001.001 is a router", "192.168.001.001"),
        ("http://198.51.100.4/x", "198.51.100.4"),
        ("17,10.0.0.12,x", "10.0.0.12"),
        ("[2001:db8::ff00:42:8329]:443", "2001:db8::ff00:42:8329"),
        ("src:fe80::1: up", "fe80::1"),
        ("::1 is here", "::1"),
        ("2001:0db8:0000:0000:0000:ff00:0042:8329", "2001:0db8:0000:0000:0000:ff00:0042:8329"),
        ("::ffff:192.0.2.128", "::ffff:192.0.2.128"),
    ],
)
def test_an_ip_address_is_found(text, secret):
    assert found(text) == [("IP", secret)]


@pytest.mark.parametrize(
    "text",
    [
        "999.1.1.1",
        "1.2.3",
        "1.3.6.1.4.1.311",
        "version 1.2.3.4",
        "v10.0.0.1",
        "at 12:30:45",
        "std::vector and Ada::Bee",
        "00:1a:2b:3c:4d:5e",
        ":".join(["ab"] * 32),
    ],
)
def test_versions_times_and_fingerprints_are_no_ip_addresses(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "context", ["v", "release", "build", "build_number", "section", "article", "chapter", "node"]
)
def test_an_ip_address_stays_one_under_a_key_that_may_hold_a_version(context):
    assert found("10.0.0.1", context) == [("IP", "10.0.0.1")]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("migrated from 10.0.0.1 to 10.0.0.2", 2),
        ("upgraded from 192.168.0.1 to 192.168.0.2", 2),
        ("update firewall 10.0.0.5", 1),
        ("updated to 8.8.8.8", 1),
        ("upgrade host 52.1.2.3", 1),
        ("ip.src==10.0.0.1", 1),
        ("remote==10.0.0.1", 1),
        ("remote==52.1.2.3 and ip.addr==8.8.8.8", 2),
        ("pkg==10.0.0.1", 1),
        ("node/10.0.0.1", 1),
        ("node/52.1.2.3", 1),
        ("opera/10.0.0.1", 1),
        ("10.0.0.1.tar.gz", 1),
        ("the version that 10.0.0.1 runs", 1),
    ],
)
def test_an_ip_address_that_only_looks_like_a_version_is_found(text, count):
    assert [kind for kind, _ in found(text)] == ["IP"] * count


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("version", "4.18.0.1"),
        ("appVersion", "1.2.3.4"),
        ("firmware", "2.4.1.7"),
        ("tag", "v1.2.3.4"),
        ("user_agent", "Chrome/127.0.0.0 Safari/537.36 Edg/120.0.0.0"),
        ("requirements", "numpy==1.2.3.4 zope.interface>=5.4.0.1"),
        ("note", "bumped it to 1.4.0.2, semver (1.2.3.4)"),
    ],
)
def test_a_four_part_version_stays_where_its_name_proves_it(context, text):
    assert found(text, context) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("pay with 4111 1111 1111 1111 now", "4111 1111 1111 1111"),
        ("5555-5555-5555-4444", "5555-5555-5555-4444"),
        ("2223003122003222", "2223003122003222"),
        ("4111_1111_1111_1111", "4111_1111_1111_1111"),
        ("3782.822463.10005", "3782.822463.10005"),
        ("12 4111111111111111 12/27 123", "4111111111111111"),
        ("17,4111111111111111,x", "4111111111111111"),
        ("card4111111111111111x", "4111111111111111"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111"),
        ("4111\u200b11111111\u200b1111", "4111\u200b11111111\u200b1111"),
        ("４１１１１１１１１１１１１１１１", "４１１１１１１１１１１１１１１１"),
    ],
)
def test_a_payment_card_is_found(text, secret):
    assert found(text) == [("CARD", secret)]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1234567890123456",
        "1700000000000",
        "0.4111111111111111",
        "600 601 603 824 896 1024 36 800",
        "33 20 53 4e 2d 30 32 55 54 30 38 32 33",
        "9999999999999999",
    ],
)
def test_digits_without_issuer_or_check_digit_are_no_card(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("IBAN: DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
        ("de89370400440532013000", "de89370400440532013000"),
        ("GB82-WEST-1234-5698-7654-32.", "GB82-WEST-1234-5698-7654-32"),
        ("ref AB12 NO93 8601 1117 947", "NO93 8601 1117 947"),
    ],
)
def test_an_iban_is_found(text, secret):
    assert found(text) == [("IBAN", secret)]


@pytest.mark.parametrize(
    "text", ["DE88 3704 0044 0532 0130 00", "XX89370400440532013000", "DE89 3704", "mp34 is it"]
)
def test_an_iban_needs_its_country_length_and_sum(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("it is 536-90-4399.", "536-90-4399"),
        ("536 90 4399", "536 90 4399"),
        ("536–90–4399", "536–90–4399"),
        ("SSN: 536904399", "536904399"),
        ("ssn 536-904399", "536-904399"),
        ("social security number is 536904399", "536904399"),
        ("536-90 4399", "536-90 4399"),
        ("536 90-4399", "536 90-4399"),
    ],
)
def test_a_social_security_number_is_found(text, secret):
    assert found(text) == [("SSN", secret)]


@pytest.mark.parametrize(
    "text",
    [
        *("000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "536904399", "5536-90-43991"),
        *("199.99 2024", "536 -90 4399", "536 90.4399"),
    ],
)
def test_a_number_that_is_never_issued_is_no_ssn(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("+1 415-555-0132 is it", "+1 415-555-0132"),
        ("+442079460958", "+442079460958"),
        ("0044 20 7946 0958", "0044 20 7946 0958"),
        ("020 7946 0958 25 GBP", "020 7946 0958"),
        ("(415) 555-0132 ext. 12", "(415) 555-0132 ext. 12"),
        ("17,555-123-4567,x", "555-123-4567"),
        ("my phone number is 4155550132", "4155550132"),
        ("tel:5550132", "5550132"),
        ("call 07700900123 now", "07700900123"),
    ],
)
def test_a_telephone_number_is_found(text, secret):
    assert found(text) == [("PHONE", secret)]


def test_every_telephone_number_of_a_list_is_found():
    text = "phones: 4155550132, 2125550147 or 5550132"

    assert [secret for _, secret in found(text)] == ["4155550132", "2125550147", "5550132"]


@pytest.mark.parametrize(
    "text",
    [
        "4155550132",
        "order 20250101",
        "2024-03-02 and 01/02/2003 and 01.02.2003",
        "at 15:41:04 -0600",
        "1,234,567 people",
        "122.4194155, -37.7749295",
        "ISBN 978-3-16-148410-0",
        "text CHAT to 86688 for 150p",
        "call me at 10 or 11",
        "pages 100-2000",
        "+10000000 karma",
    ],
)
def test_dates_amounts_and_bare_digits_are_no_telephone_numbers(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("context", "text", "kind"),
    [
        ("homePhone", "4155550132", "PHONE"),
        ("phone_number", "5550132", "PHONE"),
        ("ssn", "536904399", "SSN"),
        ("employee_ssn", "36904399", "SSN"),
    ],
)
def test_bare_digits_count_beside_their_name(context, text, kind):
    assert found(text, context) == [(kind, text)]


def test_the_name_beside_a_text_is_not_counted_into_it():
    assert found("hello 1", "ann@example.com 4111111111111111") == []


def test_neighbours_of_different_kinds_are_told_apart():
    text = "4111 1111 1111 1111 415-555-0132 ann@example.com 10.0.0.1 536-90-4399"

    assert [kind for kind, _ in found(text)] == ["CARD", "PHONE", "EMAIL", "IP", "SSN"]


def test_spans_are_disjoint_and_ascending():
    text = "call my phone 415-555-0132, tel 020 7946 0958, mobile +1 415 555 0132 x4"

    spans = find(text)

    assert len(spans) == 3
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert {span.kind for span in spans} == {Kind.PHONE}


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNNQEXAMPLE",
        "use AKIAIOSFODNNQEXAMPLE for it",
        "SG.abcdefghijklmnopq.abcdefghijklmnopq",
        "bearer AbcdefghijklMnop",
    ],
)
def test_a_secret_of_letters_alone_is_found(text):
    assert [kind for kind, _ in found(text)] == ["SECRET"]


def test_a_token_of_letters_alone_is_found_under_its_name():
    assert found("AbcdefGhijkl", "token") == [("SECRET", "AbcdefGhijkl")]


@pytest.mark.parametrize("name", ["api_key", "accessKey", "secret-key", "private_key", "db_pwd"])
def test_whatever_stands_under_the_name_of_a_secret_is_one(name):
    assert found("correct horse", name) == [("SECRET", "correct horse")]


@pytest.mark.parametrize(
    ("context", "text"),
    [
        ("key", "images/2024/a.png"),
        ("idempotency_key", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("key", "backgroundColor"),
        ("sort_key", "2024-11-23T10:00:00Z"),
        ("text", "monkey: banana-2024-x"),
        ("cache_key", "user_12345_profile_v2_en"),
    ],
)
def test_a_key_that_opens_no_lock_is_no_secret(context, text):
    assert found(text, context) == []
