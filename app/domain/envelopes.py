"""The outermost wrapping of a report: compression and form fields. What comes out is read by `reports`."""

import zlib
from collections.abc import Sequence
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl

from app.contracts.errors import AppError

_USUAL_FIELD = "message"
_MOST_FIELDS = 200
_GZIP_MARK = b"\x1f\x8b"


class UnreadableEnvelope(AppError):
    """The body could not be unwrapped."""

    status = 400


class TooLarge(AppError):
    """The body is, or unpacks to, more than is accepted."""

    status = 413


def open_envelope(body: bytes, content_type: str, content_encoding: str, limit_bytes: int) -> str | bytes:
    """Give the text of the report in a request's body.

    JSON is taken whatever `content_type` says. Of a form the field `message` is taken; when there is none, the only
    field that looks like a report, since Duplicati lets people choose the field's name.
    Raises TooLarge (413) over `limit_bytes`, before and after unpacking, and UnreadableEnvelope (400, 415).
    """
    content = _unpack(body, content_encoding.strip().lower(), limit_bytes)
    if content.lstrip()[:1] in (b"{", b"["):
        return content
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _chosen_field(_multipart_fields(content, content_type))
    if kind == "application/x-www-form-urlencoded" or content.startswith(b"message="):
        return _chosen_field(_form_fields(content))
    return content


def is_packed(body: bytes, content_encoding: str) -> bool:
    """Say whether the body is compressed, or claims to be."""
    return content_encoding.strip().lower() not in ("", "identity") or body.startswith(_GZIP_MARK)


def _unpack(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo gzip and deflate, holding no more than `limit_bytes`."""
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    if encoding in ("gzip", "x-gzip") or body.startswith(_GZIP_MARK):
        return _inflate(body, 16 + zlib.MAX_WBITS, limit_bytes)
    if encoding == "deflate":
        return _inflate(body, zlib.MAX_WBITS, limit_bytes)
    if encoding in ("", "identity"):
        return body
    raise UnreadableEnvelope("Content-Encoding may be gzip, deflate or identity", 415)


def _inflate(body: bytes, window_bits: int, limit_bytes: int) -> bytes:
    """Decompress one stream, stopping as soon as the limit is passed."""
    decompressor = zlib.decompressobj(window_bits)
    try:
        content = decompressor.decompress(body, limit_bytes + 1)
    except zlib.error as trouble:
        raise UnreadableEnvelope("The body says that it is compressed, but it cannot be unpacked") from trouble
    if len(content) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise UnreadableEnvelope("The compressed body is cut short, or something follows it")
    return content


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"The report is larger than {limit_bytes} bytes")


def _form_fields(content: bytes) -> list[tuple[str, str]]:
    """Read the fields of a URL-encoded form."""
    try:
        return parse_qsl(
            content.decode("utf-8", "replace"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
        )
    except ValueError as trouble:
        raise UnreadableEnvelope(f"The form has more than {_MOST_FIELDS} fields") from trouble


def _multipart_fields(content: bytes, content_type: str) -> list[tuple[str, str]]:
    """Read the fields of a multipart form."""
    header = f"Content-Type: {' '.join(content_type.split())}\r\n\r\n".encode("utf-8", "replace")
    form = BytesParser(policy=HTTP).parsebytes(header + content)
    fields = []
    for part in form.iter_parts() if form.is_multipart() else ():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            name = part.get_param("name", "", header="content-disposition")
            fields.append((str(name), payload.decode("utf-8", "replace")))
    return fields


def _chosen_field(fields: Sequence[tuple[str, str]]) -> str:
    """Pick the field that holds the report."""
    for name, value in fields:
        if name == _USUAL_FIELD:
            return value
    reports = [value for _, value in fields if _looks_like_report(value)]
    if len(reports) == 1:
        return reports[0]
    raise UnreadableEnvelope(
        f"The form has no field '{_USUAL_FIELD}'; take --send-http-message-parameter-name out of Duplicati's options"
    )


def _looks_like_report(value: str) -> bool:
    """Tell a report from the further fields that Duplicati can be told to send."""
    start = value.lstrip()
    return start.startswith("{") or "MainOperation:" in value or (start.startswith("Duplicati ") and "\n" in start)
