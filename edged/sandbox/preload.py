"""Load, before any jail closes, what the library would otherwise load in the middle of a program.

A jailed worker opens no file, and the library imports lazily: strptime its parser, a codec on first
use, OpenSSL its configuration. Importing this module once in the zygote is enough; every worker
inherits it.

Runs in: zygote. Talks to: the standard library. Never: runs program text.
"""

import edged.sandbox.templates  # noqa: F401 # before the next one, which makes a template

# isort: split
import _strptime  # type: ignore[import-not-found]  # noqa: F401
import calendar  # noqa: F401
import codecs
import contextlib
import hashlib
import linecache  # noqa: F401
import locale  # noqa: F401
import stringprep  # noqa: F401
import time  # noqa: F401
import traceback  # noqa: F401
import unicodedata
import warnings  # noqa: F401

_ENCODINGS = (
    "ascii big5 charmap cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp437"
    " cp850 cp866 cp874 cp932"
    " cp949 euc_jp euc_kr gb18030 gb2312 gbk hz idna iso2022_jp iso8859_1 iso8859_2 iso8859_3"
    " iso8859_4 iso8859_5"
    " iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14"
    " iso8859_15 iso8859_16 johab"
    " koi8_r koi8_u latin_1 mac_roman punycode raw_unicode_escape shift_jis unicode_escape utf_16"
    " utf_16_be utf_16_le"
    " utf_32 utf_32_be utf_32_le utf_7 utf_8 utf_8_sig"
)

for _name in _ENCODINGS.split():
    codecs.lookup(_name)
"x".encode("idna")
hashlib.sha256(b"")
hashlib.blake2b(b"")
unicodedata.lookup("BULLET")
with contextlib.suppress(ImportError):  # from Python 3.12 on: arithmetic of very large integers
    import _pylong  # type: ignore[import-not-found]  # noqa: F401
