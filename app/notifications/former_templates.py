"""The texts that earlier versions gave: whoever has one of them stored never wrote any, and gets the text of today."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

# Language -> SHA-256, cut to 32 digits, of the messages that were built in until December 2026.
_FORMER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en-GB": (
            "15b0738dc92791580b475cb00acf5de7",
            "7819a36c957ab08cd0be7ed42754c355",
            "a51fb4c81ff833341bd6ef5171049ba5",
            "5070f799f734f414459697f3f29979ad",
        ),
        "de": (
            "b00320acd999be6fb9083d9cff46d227",
            "9f66354e832ddbba5af91cb395ff6982",
            "7ec15d0461a21954662f378275931844",
            "0b89c17d9026ec9b3cd60f58bdadf7a8",
        ),
        "fr": (
            "09239cd0b32e166e059b513223894623",
            "b5e3b891c2332a576a77c78100adcbe8",
            "4186e0d1cac7a472613e028ef5437bca",
            "158b32d357ad244b258cec453e637151",
        ),
        "es": (
            "3a50018059767a2e47c0d03decf2a32a",
            "2796ea4ec7d11dd0edafe446dbe084bc",
            "507518eb63faa99d7d171d4856cb0891",
            "78d3ff964ea1224c1aab5a64605fd244",
        ),
        "pt-BR": (
            "9e1c13c50ddbe445d37c9ec6689f8c49",
            "372543b6ac28573b52071ee6738c623c",
            "7332abd14c8298995d0aec24d1bf4ac6",
            "6dff9f680bce2aba20f09ce476fcd034",
        ),
        "hi": (
            "cb262c6ad5e1ed142fa37df589592d50",
            "01b11f359cb935d137b6eee9d9fd37e9",
            "33825ed1300e285dac76c7efc261ec66",
            "6d49306c3b4734c256398b8971403414",
        ),
        "zh-Hans": (
            "ed8eb29f87ad63f2ee1a48bcdf0973d7",
            "85c93176767cb21b36bf81b7fd79770a",
            "b290d8eb9fadf113792a1607e896c9c2",
            "1c847252e913d546e7d0b53feb7b3ce9",
        ),
    }
)
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {digest: language for language, digests in _FORMER.items() for digest in digests}
)


def former_language(message: str) -> str | None:
    """Give the language of a message that an earlier version built in; None for every other message."""
    return _LANGUAGES.get(hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:32])
