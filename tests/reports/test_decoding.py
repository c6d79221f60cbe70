"""Decoding of posted bodies."""

import gzip
import zlib
from urllib.parse import quote_plus, unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.core.errors import Refused
from app.reports.decoding import decode_body, unpack

FORM = "application/x-www-form-urlencoded"
JSON = b'{"Data": null}'
LIMIT = 10_000


def opened(body: bytes, content_type: str = "application/json", encoding: str = "", limit: int = LIMIT) -> str | bytes:
    return decode_body(unpack(body, encoding, limit), content_type)


def rejection(body: bytes, content_type: str = "application/json", encoding: str = "", limit: int = LIMIT) -> int:
    with pytest.raises(Refused) as caught:
        opened(body, content_type, encoding, limit)
    return caught.value.status


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "", FORM, "multipart/form-data; boundary=x"]
)
def test_json_is_accepted_with_any_content_type(content_type):
    assert opened(JSON, content_type) == JSON


def test_plain_body_is_accepted_unchanged():
    assert opened(b"Duplicati Backup report for x\n", "text/plain") == b"Duplicati Backup report for x\n"


def test_form_field_message_is_accepted():
    body = urlencode({"extra": "{1}", "message": '{"a": "ü & +"}'}).encode()
    assert opened(body, f"{FORM}; charset=utf-8") == '{"a": "ü & +"}'


def test_form_without_content_type_is_recognised():
    assert opened(b"message=%7B%7D", "") == "{}"


def test_only_field_that_looks_like_a_report_is_accepted_under_another_name():
    assert opened(urlencode({"token": "abc", "report": '{"Data": {}}'}).encode(), FORM) == '{"Data": {}}'


def test_plain_text_report_under_another_name_is_recognised():
    text = "Duplicati Backup report for x\n\nMainOperation: Backup"
    assert opened(urlencode({"text": text, "token": "abc"}).encode(), FORM) == text


@pytest.mark.parametrize("fields", [{"token": "abc"}, {"a": "{}", "b": "{}"}, {}])
def test_ambiguous_form_is_rejected(fields):
    assert rejection(urlencode(fields).encode(), FORM) == 400


def test_multipart_field_is_accepted():
    body = b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n{"a": "\xc3\xbc"}\r\n--x--\r\n'
    assert opened(body, "multipart/form-data; boundary=x") == '{"a": "ü"}'


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n\r\n--x--", b"nothing"])
def test_broken_multipart_is_rejected(body):
    assert rejection(body, "multipart/form-data; boundary=x") == 400


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP ", ""])
def test_gzip_is_decompressed_without_the_header(encoding):
    assert opened(gzip.compress(JSON), encoding=encoding) == JSON


def test_deflate_is_decompressed():
    assert opened(zlib.compress(JSON), encoding="deflate") == JSON


def test_gzipped_form_is_decoded_twice():
    assert opened(gzip.compress(b"message=%7B%7D"), FORM, "gzip") == "{}"


def test_body_of_exactly_the_limit_is_accepted():
    assert opened(b"x" * LIMIT) == b"x" * LIMIT


def test_body_over_the_limit_is_too_large():
    assert rejection(b"x" * (LIMIT + 1)) == 413


def test_gzip_bomb_is_too_large():
    assert rejection(gzip.compress(b"x" * 50_000_000), encoding="gzip") == 413


def test_compressed_body_of_exactly_the_limit_is_accepted():
    assert opened(gzip.compress(b"x" * LIMIT), encoding="gzip") == b"x" * LIMIT


BROKEN = {"plain": b"no gzip", "cut off": gzip.compress(JSON)[:-9], "twice": gzip.compress(JSON) * 2}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_gzip_is_rejected(body):
    assert rejection(body, encoding="gzip") == 400


def test_unknown_encoding_is_rejected():
    assert rejection(JSON, encoding="br") == 415


def test_form_with_very_many_fields_is_rejected():
    assert rejection(b"&".join(b"a=1" for _ in range(201)), FORM) == 400


def test_invalid_percent_escapes_are_unchanged():
    assert opened(b"message=100%+sure+%zz%+%7B%C3%BC%0A=%&x=%", FORM) == "100% sure %zz% {ü\n=%"


def test_many_invalid_percent_escapes_are_rejected():
    assert rejection(b"message=" + b"%" * 20_000, FORM, limit=100_000) == 400


@trial()
@given(st.binary(), st.text(alphabet="%=+&;aF7\r\n _\t", max_size=30))
def test_form_is_decoded_as_by_the_standard_library(content, odd):
    for value in (quote_plus(content).encode(), odd.replace("&", "").encode()):
        expected = unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8", "replace")
        assert opened(b"message=" + value, FORM) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\n" + b"\r\n--b\r\n" * 60_000,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 201 + b"--b--",
        b"--b\r\n" + b"A: b\r\n" * 10_000 + b"\r\nx\r\n--b--",
        b'--b\r\nContent-Disposition: form-data; name="' + b"a" * 20_000 + b'"\r\n\r\n{}\r\n--b--',
        b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\n{}\r\n',
        b"x" * 100_000,
    ],
    ids=["empty parts", "parts", "headers", "long header", "cut short", "no part"],
)
def test_multipart_form_over_its_limits_is_rejected(body):
    assert rejection(body, "multipart/form-data; boundary=b", limit=1_000_000) == 400


@pytest.mark.parametrize(("encoding", "value"), [("base64", b"eyJhIjogMX0="), ("quoted-printable", b'{"a":=201}')])
def test_multipart_field_may_be_encoded(encoding, value):
    head = f'Content-Disposition: form-data; name="message"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    body = b"--x\r\n" + head.encode() + value + b"\r\n--x--\r\n"
    assert opened(body, "multipart/form-data; boundary=x") == '{"a": 1}'
