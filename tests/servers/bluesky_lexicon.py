"""What a PDS checks of a record of app.bsky.feed.post, in the words of the real one (`@atproto/pds` 0.4.217).

Source: https://github.com/bluesky-social/atproto/tree/main/lexicons/app/bsky. Beyond the real server it refuses byte
ranges that do not fit the text, which that one stores and apps then show as nonsense.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import regex

TID = re.compile(r"[234567a-j][234567a-z]{12}")
RECORD_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,20})?(?:Z|[+-]\d\d:\d\d)")
_LANGUAGE = re.compile(r"(?:[a-z]{2,8}(?:-[a-z0-9]{1,8})*|[xi](?:-[a-z0-9]{1,8})+)", re.IGNORECASE)
_URI = re.compile(r"\w+:(?://)?[^\s/]\S*")
_CID = re.compile(r"b[a-z2-7]{58}")
_THUMB_BYTES = 1_000_000
_POST = "app.bsky.feed.post"


class Refused(Exception):
    """The record is not valid; the text is the server's message without its start."""


def check_post(record: Mapping[str, Any]) -> None:
    """The record is valid.

    Raises:
        Refused: it is not; the text says what and where.
    """
    text = _string(record, "text", "$.record")
    _fits(text, "$.record.text", size=3000, graphemes=300)
    created = _string(record, "createdAt", "$.record")
    if not _is_datetime(created):
        raise Refused(f'Invalid datetime (got "{created}") at $.record.createdAt')
    _check_languages(record.get("langs", []))
    _check_facets(record.get("facets", []), len(text.encode()))
    if "embed" in record:
        _check_embed(_object(record["embed"], "$.record.embed"))


def blobs_of(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The references to blobs in a valid record."""
    embed = record.get("embed", {})
    thumb = embed.get("external", {}).get("thumb")
    return ([thumb] if thumb else []) + [image["image"] for image in embed.get("images", [])]


def _is_datetime(value: str) -> bool:
    if not _DATETIME.fullmatch(value) or value.endswith("-00:00"):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _check_languages(languages: object) -> None:
    if not isinstance(languages, list):
        raise Refused("Expected array value type at $.record.langs")
    if len(languages) > 3:
        raise Refused(f"array too big (maximum 3, got {len(languages)}) at $.record.langs")
    for index, language in enumerate(languages):
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            raise Refused(f'Invalid language (got "{language}") at $.record.langs[{index}]')


def _check_facets(facets: object, size: int) -> None:
    if not isinstance(facets, list):
        raise Refused("Expected array value type at $.record.facets")
    free_from = 0
    for number, facet in enumerate(facets):
        place = f"$.record.facets[{number}]"
        index = _object(_object(facet, place).get("index"), f"{place}.index")
        start, end = (_integer(index, name, f"{place}.index") for name in ("byteStart", "byteEnd"))
        if not free_from <= start < end <= size:
            raise Refused(f"byte range {start} to {end} does not fit at {place}.index")
        free_from = end
        features = facet.get("features")
        if not isinstance(features, list):
            raise Refused(f'Missing required key "features" at {place}')
        for feature in features:
            _check_feature(_object(feature, f"{place}.features[0]"), f"{place}.features[0]")


def _check_feature(feature: Mapping[str, Any], place: str) -> None:
    kind = feature.get("$type")
    if kind == "app.bsky.richtext.facet#link":
        _check_uri(feature, place)
    elif kind == "app.bsky.richtext.facet#tag":
        _fits(_string(feature, "tag", place), f"{place}.tag", size=640, graphemes=64)
    elif kind == "app.bsky.richtext.facet#mention":
        if not _string(feature, "did", place).startswith("did:"):
            raise Refused(f'Invalid DID (got "{feature["did"]}") at {place}.did')
    elif not isinstance(kind, str):
        raise Refused(f'Expected an object which includes the "$type" property value type at {place}')


def _check_embed(embed: Mapping[str, Any]) -> None:
    kind = embed.get("$type")
    if kind == "app.bsky.embed.external":
        place = "$.record.embed.external"
        card = _object(embed.get("external"), place)
        _check_uri(card, place)
        _string(card, "title", place)
        _string(card, "description", place)
        if "thumb" in card:
            _check_blob(card["thumb"], f"{place}.thumb", _THUMB_BYTES)
    elif kind == "app.bsky.embed.images":
        _check_images(embed.get("images"))
    elif not isinstance(kind, str):
        raise Refused('Expected an object which includes the "$type" property value type at $.record.embed')


def _check_images(images: object) -> None:
    if not isinstance(images, list):
        raise Refused("Expected array value type at $.record.embed.images")
    if len(images) > 4:
        raise Refused(f"array too big (maximum 4, got {len(images)}) at $.record.embed.images")
    for number, image in enumerate(images):
        place = f"$.record.embed.images[{number}]"
        _string(_object(image, place), "alt", place)
        _check_blob(image.get("image"), f"{place}.image", _THUMB_BYTES)
        ratio = _object(image.get("aspectRatio", {"width": 1, "height": 1}), f"{place}.aspectRatio")
        for side in ("width", "height"):
            if _integer(ratio, side, f"{place}.aspectRatio") < 1:
                raise Refused(f"integer too small (minimum 1, got {ratio[side]}) at {place}.aspectRatio.{side}")


def _check_blob(blob: object, place: str, most: int) -> None:
    ref = blob.get("ref") if isinstance(blob, dict) else None
    link = ref.get("$link") if isinstance(ref, dict) else None
    if not isinstance(blob, dict) or blob.get("$type") != "blob" or not _CID.fullmatch(str(link)):
        raise Refused(f"Expected blob value type at {place}")
    if not _string(blob, "mimeType", place).startswith("image/"):
        raise Refused(f'Expected "image/*" (got "{blob["mimeType"]}") at {place}.mimeType')
    if (size := _integer(blob, "size", place)) > most:
        raise Refused(f"blob too big (maximum {most}, got {size}) at {place}")


def _check_uri(holder: Mapping[str, Any], place: str) -> None:
    uri = _string(holder, "uri", place)
    if not _URI.fullmatch(uri):
        raise Refused(f'Invalid uri (got "{uri}") at {place}.uri')


def _fits(text: str, place: str, *, size: int, graphemes: int) -> None:
    if (got := len(text.encode())) > size:
        raise Refused(f"string too big (maximum {size}, got {got}) at {place}")
    if (got := len(regex.findall(r"\X", text))) > graphemes:
        raise Refused(f"grapheme too big (maximum {graphemes}, got {got}) at {place}")


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"Expected object value type at {place}")
    return value


def _string(holder: Mapping[str, Any], name: str, place: str) -> str:
    if name not in holder:
        raise Refused(f'Missing required key "{name}" at {place}')
    value = holder[name]
    if not isinstance(value, str):
        raise Refused(f"Expected string value type (got {value}) at {place}.{name}")
    return value


def _integer(holder: Mapping[str, Any], name: str, place: str) -> int:
    value = holder.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(f'Expected integer value type (got "{value}") at {place}.{name}')
    if value < 0:
        raise Refused(f"integer too small (minimum 0, got {value}) at {place}.{name}")
    return value
