"""Records of nobody, full of what only looks like personal data: no check digit is avoided."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

FIELDS_OF_A_RECORD = 6
WORDS = ("the", "parcel", "has", "not", "arrived", "yet", "please", "look", "into", "it", "today")
PACKAGES = ("numpy", "zope.interface", "opencv-python", "ruamel.yaml")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0"
EPOCH = datetime(2023, 1, 1, tzinfo=UTC)


class LookAlikes:
    """Makes one record after the other, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._fields: dict[str, Callable[[], Any]] = {
            **self._numbered(),
            **self._versions(),
            **self._moments(),
            **self._measures(),
            **self._identifiers(),
            **self._places(),
        }

    def record(self) -> dict[str, Any]:
        """Return some fields, some of them nested, or within a text, or in a list of many."""
        names = self.random.sample(list(self._fields), FIELDS_OF_A_RECORD)
        made = {name: self._fields[name]() for name in names}
        first, second, third, *_ = names
        return made | {
            "meta": {first: [self._fields[first]() for _ in range(3)]},
            "note": f"{self._words()} {second} {self._written(made[second])}.",
            "raw": json.dumps({third: made[third]}),
        }

    def _numbered(self) -> dict[str, Callable[[], Any]]:
        draw = self._digits
        return {
            "order_id": lambda: f"ORD-{self._between(2019, 2026)}-{draw(6)}",
            "order_number": lambda: int("7" + draw(8)),
            "invoice": lambda: f"INV-{self._between(2019, 2026)}-{draw(4)}",
            "sku": lambda: f"SKU-{draw(5)}-{draw(3)}",
            "part_number": lambda: f"{draw(3)}-{draw(5)}-{draw(2)}",
            "isbn": lambda: f"978-{draw(1)}-{draw(2)}-{draw(6)}-{draw(1)}",
            "ean": lambda: f"4{draw(12)}",
            "serial": lambda: f"SN{draw(10)}",
            "flight": lambda: f"UA {draw(4)}",
            "ticket": lambda: f"#{draw(6)}",
        }

    def _versions(self) -> dict[str, Callable[[], Any]]:
        def four() -> str:
            # Not from 10 on: there a private address is likelier, but behind the word version.
            return ".".join(str(self._between(0, top)) for top in (9, 30, 20, 400))

        return {
            "version": four,
            "app_version": lambda: f"v{four()}",
            "library": lambda: f"{self.random.choice(PACKAGES)}=={four()}",
            "release_notes": lambda: f"upgraded from {four()} to {four()}",
            "user_agent": lambda: BROWSER.format(self._between(90, 140)),
            "package": lambda: f"tool-{four()}.tar.gz",
        }

    def _moments(self) -> dict[str, Callable[[], Any]]:
        def at(form: str) -> Callable[[], str]:
            return lambda: (EPOCH + timedelta(seconds=self._between(0, 10**8))).strftime(form)

        return {
            "created_at": at("%Y-%m-%dT%H:%M:%SZ"),
            "sort_key": at("%Y-%m-%dT%H:%M:%S.123Z"),
            "date": at("%d.%m.%Y"),
            "due": at("%m/%d/%Y"),
            "time": at("%H:%M:%S"),
            "logged": at("%Y-%m-%d %H:%M:%S,123 INFO took 123 ms, 4567 rows"),
            "compact": at("%Y%m%d%H%M%S"),
            "ts": lambda: self._between(1_600_000_000, 1_799_999_999),
            "ts_ms": lambda: self._between(1_600_000_000_000, 1_799_999_999_999),
        }

    def _measures(self) -> dict[str, Callable[[], Any]]:
        uniform = self.random.uniform
        return {
            "price": lambda: round(uniform(1, 10_000), 2),
            "total": lambda: f"${uniform(1, 9_999_999):,.2f}",
            "coordinates": lambda: f"{uniform(-90, 90):.7f}, {uniform(-180, 180):.7f}",
            "location": lambda: {"lat": uniform(-90, 90), "lon": uniform(-180, 180)},
            "embedding": lambda: [uniform(-1, 1) for _ in range(8)],
            "population": lambda: self._between(10**6, 10**10),
            "size": lambda: f"{self._between(100, 9999)}x{self._between(100, 9999)}",
            "range": lambda: f"{self._between(1000, 4999)}-{self._between(5000, 9999)}",
            "count": lambda: self._between(0, 99_999),
        }

    def _identifiers(self) -> dict[str, Callable[[], Any]]:
        return {
            "id": self._uuid,
            "idempotency_key": self._uuid,
            "request_key": lambda: f"order-{self._digits(6)}-retry-{self._digits(1)}",
            "cache_key": lambda: f"profile_v2_{self._digits(5)}_en",
            "sha256": lambda: self._hex(64),
            "md5": lambda: self._hex(32),
            "commit": lambda: self._hex(40),
            "short_commit": lambda: self._hex(7),
            "span_id": lambda: self._hex(16),
            "mac": lambda: ":".join(self._hex(2) for _ in range(6)),
        }

    def _places(self) -> dict[str, Callable[[], Any]]:
        return {
            "path": lambda: (
                f"/var/log/app/2024-11-{self._between(10, 30)}/worker-{self._digits(2)}.log"
            ),
            "file": lambda: f"IMG_20241123_{self._digits(6)}.jpg",
            "key": lambda: f"images/2024/{self._digits(2)}/{self._hex(8)}.png",
            "s3_key": lambda: f"exports/2024-11-23/part-{self._digits(5)}.csv.gz",
            "link": lambda: f"https://example.com/items/{self._digits(6)}?page=2&sort=asc",
            "keyword": lambda: "backgroundColor",
            "text": self._words,
        }

    def _words(self) -> str:
        return " ".join(self.random.choices(WORDS, k=8))

    def _written(self, value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _digits(self, size: int) -> str:
        return self._characters("0123456789", size)

    def _hex(self, size: int) -> str:
        return self._characters("0123456789abcdef", size)

    def _characters(self, alphabet: str, size: int) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(size))

    def _between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)
