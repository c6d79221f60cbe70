"""Built-in texts of earlier versions.

A stored template that equals one is replaced by the current text.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

# Language -> SHA-256, first 32 hex digits, of every message built in until December 2026. Before the texts are changed
# in a release, add the hashes of the current ones.
_FORMER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en-GB": (
            "15b0738dc92791580b475cb00acf5de7",
            "7819a36c957ab08cd0be7ed42754c355",
            "a51fb4c81ff833341bd6ef5171049ba5",
            "5070f799f734f414459697f3f29979ad",
            "ac2f5c45ae85fe73cc1fee8b333abe42",
            "2bbf1e7c281d71700f327f4ebb18f412",
            "9013683a6974ad668510b91eec8f1d72",
            "3542ddd99f7f02d6ecda309155ee03df",
            "fe2a14479c5eecbac2348ef741e40bb0",
            "0622901a7da96fad90a9cef8d3852d7a",
        ),
        "de": (
            "b00320acd999be6fb9083d9cff46d227",
            "9f66354e832ddbba5af91cb395ff6982",
            "7ec15d0461a21954662f378275931844",
            "0b89c17d9026ec9b3cd60f58bdadf7a8",
            "5b6feff6583ac2790cc42be5f5fb9fb2",
            "2858e259ebc5902f76902f7304a15541",
            "60bc784296d1211baac331a87a801f0b",
            "d4bf78c628f0ae83e82c8f3c2a1f5fa3",
            "f79f1b00188dc09eadc2085b5bc31ce6",
            "81683ddcb4ec4c2354826a2d52a4d049",
        ),
        "fr": (
            "09239cd0b32e166e059b513223894623",
            "b5e3b891c2332a576a77c78100adcbe8",
            "4186e0d1cac7a472613e028ef5437bca",
            "158b32d357ad244b258cec453e637151",
            "b3474eff0a245a378c766697904765f0",
            "bf862ba2fddeb97755b937b60642f97a",
            "e9108c31d55e8ce57c2a1ff714940370",
            "2ea245f13bb15d04a1947f7dafa0a195",
            "026714f11ed2a14edf2f57cd708f7585",
            "476294a352a777c34f3c099a91395a27",
        ),
        "es": (
            "3a50018059767a2e47c0d03decf2a32a",
            "2796ea4ec7d11dd0edafe446dbe084bc",
            "507518eb63faa99d7d171d4856cb0891",
            "78d3ff964ea1224c1aab5a64605fd244",
            "c1fb958b3af3c4c0e430a9a376d190dd",
            "49672a8686c10a58bf07cc7175845db0",
            "ac358587df95a42a661221aa74a3c76d",
            "e103f0b093e48fe8a85af11e9c289d6c",
            "f280799ad085721d87b84663b21c3230",
            "ac797ef699c6d7ecb79436919cc75020",
        ),
        "pt-BR": (
            "9e1c13c50ddbe445d37c9ec6689f8c49",
            "372543b6ac28573b52071ee6738c623c",
            "7332abd14c8298995d0aec24d1bf4ac6",
            "6dff9f680bce2aba20f09ce476fcd034",
            "2e63dd0a7bda83163b2374ea7400eb2b",
            "35e5ec0d2509ee2574d24f67c56bf7c1",
            "9652ba291b96b5b059d49b1322b1470f",
            "cb655fbd338124f8e7e8c4aa37889476",
            "647b6f47c11cd97cf7a5b7a8aacdfca6",
            "47d722af3451995cc8abe8f7f00f6766",
        ),
        "hi": (
            "cb262c6ad5e1ed142fa37df589592d50",
            "01b11f359cb935d137b6eee9d9fd37e9",
            "33825ed1300e285dac76c7efc261ec66",
            "6d49306c3b4734c256398b8971403414",
            "83a7adfd8e44d24d0f562e1a70a43c52",
            "ea3700e0041bbba258da379f38becf9b",
            "75c0810878effa6eea9179ac6d55d73b",
            "5f94bb603421f3aa64c507510ed59d02",
            "42be74205d79dc7033aad1e2e434dcf4",
            "ba8b7acf74b8bb8e8c2a8873dc480530",
        ),
        "zh-Hans": (
            "ed8eb29f87ad63f2ee1a48bcdf0973d7",
            "85c93176767cb21b36bf81b7fd79770a",
            "b290d8eb9fadf113792a1607e896c9c2",
            "1c847252e913d546e7d0b53feb7b3ce9",
            "b287bac6b7c3b29b161f174a2f00c4db",
            "9072d939f9d804e1a8db881bbdb13d0f",
            "94dcbffc6b33a7854387273c6eee8f1c",
            "047079e680dfc10e0a4dcadd7acd789f",
            "5c0604b7d19f5e41ee97ca8ddf3afe7d",
            "6ecaa6a0b4750c91016a5b310c9af710",
        ),
    }
)
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {digest: language for language, digests in _FORMER.items() for digest in digests}
)


def former_language(message: str) -> str | None:
    """Return the language of a message built in by an earlier version.

    None for other messages.
    """
    return _LANGUAGES.get(hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()[:32])
