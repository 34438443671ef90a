"""Personal data of nobody, with the right check digits, and sentences to hide it in."""

import ipaddress
import json
import re
from collections.abc import Callable
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits

from stdnum import luhn
from stdnum.iso7064 import mod_97_10

from edged.agent.privacy.spans import Kind

SENTENCES = (
    "{}",
    "My contact is {} thanks.",
    "x={},y=2",
    "17,{},Berlin",
    "({})",
    "on 2024-05-01 we got {}, ok?",
    "Please use {}!",
    "reach: <{}>",
    "a\t{}\nb",
    'he said "{}".',
    "{} and 5 more",
)
_CARDS = [
    *(("4", 13), ("4", 16), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16)),
    *(("34", 15), ("37", 15), ("6011", 16), ("65", 16), ("36", 14), ("305", 14), ("3528", 16)),
    *(("62", 16), ("62", 19), ("5018", 12), ("6304", 16), ("2200", 16), ("2131", 15)),
]
_IBANS = {
    "DE": "18n",
    "GB": "4a14n",
    "FR": "10n11a2n",
    "ES": "20n",
    "NL": "4a10n",
    "NO": "11n",
    "BE": "12n",
    "MT": "4a5n18a",
    "IT": "1a10n12n",
    "CH": "5n12n",
}
_EMAILS = (
    *("{}@{}.com", "{}.{}@{}.co.uk", "{}+{}@{}.org", "{}_{}@sub.{}.io", "{}-{}@{}-x.de"),
    *("{}%40{}.net", "{}@{}.museum", "{}1@{}.travel", "{}@{}.xn--p1ai", "o'{}@{}.ie"),
)
# {4} is four digits, the first from 2 to 9.
_PHONES = (
    *("+1-{3}-{3}-{4}", "+1 ({3}) {3}-{4}", "+1{3}{3}{4}", "({3}) {3}-{4}", "{3}-{3}-{4}"),
    *("{3}.{3}.{4}", "{3} {3} {4}", "1-{3}-{3}-{4}", "001-{3}-{3}-{4}x123", "({3}){3}-{4}x12345"),
    *("+44 20 7{3} {4}", "020 7{3} {4}", "07700 900{3}", "+4479{8}", "+49 30 {8}", "030 {8}"),
    *("+33 1 42 {2} {2} {2}", "01 42 {2} {2} {2}", "+91 98{3} {5}", "+81 3-{4}-{4}"),
    *("phone {3}{3}{4}", "call me on 07700900{3}", "mobile: 98{8}", "tel 5{2}-{4}"),
)


class Maker:
    """Makes one thing after the other, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def of(self, kind: Kind) -> Callable[[], str]:
        return {
            Kind.EMAIL: self.email,
            Kind.PHONE: self.phone,
            Kind.SSN: self.ssn,
            Kind.CARD: self.card,
            Kind.IP: self.ip,
            Kind.IBAN: self.iban,
            Kind.SECRET: self.secret,
        }[kind]

    def sentence(self, secret: str) -> str:
        return self.random.choice(SENTENCES).format(secret)

    def record(self, secret: str) -> dict[str, object]:
        """Hide a text in a record: in a key, deep below, in a list, beside others in a sentence."""
        return self.random.choice(
            (
                {"a": {secret: 1, "b": 2}},
                {"customer": {"contacts": [{"kind": "main", "value": secret}]}},
                {"rows": [[1, "x"], [2, secret], [3, "y"]]},
                {"meta": {"raw": json.dumps({"t": secret, "n": 7})}},
                {
                    "n": 3,
                    "messages": [{"text": self.sentence(secret), "at": "2024-05-01T10:00:00Z"}],
                },
            )
        )

    def numbers(self) -> dict[str, object]:
        """Return a record whose numbers are personal data, named or by their check digits."""
        card = int(re.sub(r"\D", "", self.card()))
        ssn = int(re.sub(r"\D", "", self.ssn()))
        return {"n": 12, "payment": {"value": card}, "people": [{"ssn": ssn, "pin_count": 4}]}

    def email(self) -> str:
        return self.random.choice(_EMAILS).format(*(self._word() for _ in range(3)))

    def phone(self) -> str:
        form = self.random.choice(_PHONES)
        return re.sub(r"\{(\d)\}", lambda size: self._number(int(size[1])), form)

    def ssn(self) -> str:
        area = self.random.choice([area for area in range(1, 900) if area != 666])
        group, serial = self.random.randint(1, 99), self.random.randint(1, 9_999)
        form = self.random.choice(
            ["{:03d}-{:02d}-{:04d}", "{:03d} {:02d} {:04d}", "SSN {:03d}{:02d}{:04d}"]
        )
        return form.format(area, group, serial)

    def card(self) -> str:
        issuer, size = self.random.choice(_CARDS)
        partial = issuer + self._characters(digits, size - 1 - len(issuer))
        number = partial + luhn.calc_check_digit(partial)
        separator = self.random.choice(["", " ", "-", "."])
        sizes = (4, 6, 5) if size in {14, 15} else (4,) * 5
        return separator.join(_groups(number, sizes)) if separator else number

    def iban(self) -> str:
        country = self.random.choice(list(_IBANS))
        account = "".join(
            self._characters(digits if letter == "n" else ascii_uppercase, int(size))
            for size, letter in re.findall(r"(\d+)([an])", _IBANS[country])
        )
        number = country + mod_97_10.calc_check_digits(account + country) + account
        separator = self.random.choice(["", " ", "-"])
        written = separator.join(_groups(number, (4,) * 9))
        return self.random.choice([written, written, written.lower()])

    def ip(self) -> str:
        if self.random.random() < 0.5:
            return str(ipaddress.IPv4Address(self.random.getrandbits(32)))
        low = self.random.getrandbits(self.random.choice([8, 16, 40]))
        bits = self.random.choice([self.random.getrandbits(128), (0x20010DB8 << 96) | low])
        address = ipaddress.IPv6Address(bits)
        return self.random.choice([str(address), address.exploded, str(address).upper()])

    def secret(self) -> str:
        form = self.random.choice(("AKIA{16}", "ghp_{36}", "sk-proj-{40}", "xoxb-{24}", "hf_{34}"))
        alphabet = ascii_uppercase + (digits if form.startswith("AKIA") else ascii_lowercase)
        return re.sub(r"\{(\d+)\}", lambda size: self._characters(alphabet, int(size[1])), form)

    def _word(self) -> str:
        return self._characters(ascii_lowercase, self.random.randint(2, 9))

    def _number(self, size: int) -> str:
        return self.random.choice("23456789") + self._characters(digits, size - 1)

    def _characters(self, alphabet: str, size: int) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(size))


def _groups(number: str, sizes: tuple[int, ...]) -> list[str]:
    groups = []
    for size in sizes:
        groups.append(number[:size])
        number = number[size:]
    return [group for group in groups if group]
