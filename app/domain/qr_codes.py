"""Texts as pictures that the camera of a phone reads."""

import segno

QUIET_ZONE_MODULES = 4  # the empty border that ISO/IEC 18004 asks for


def qr_code(text: str) -> str:
    """The QR code of a text as one inline SVG element, which takes the size of the place it stands in."""
    picture: str = segno.make_qr(text, error="m").svg_inline(
        border=QUIET_ZONE_MODULES, omitsize=True, svgclass="qr-code", lineclass=None
    )
    return picture
