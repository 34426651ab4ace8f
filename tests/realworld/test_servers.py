"""The servers and the helpers that read them: what the other tests here rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from tests.realworld.servers.bluesky import Card, Facet, Login, Pds
from tests.realworld.servers.wordpress import Draft, WordPress

pytestmark = pytest.mark.realworld

_TEXT = "Jembatan “baru” 🚢 https://news.example/1 #IKN"


def _index(part: str) -> dict[str, int]:
    start = _TEXT.encode().index(part.encode())
    return {"byteStart": start, "byteEnd": start + len(part.encode())}


_RECORD = {
    "text": _TEXT,
    "createdAt": "2026-11-24T07:00:00.000Z",
    "langs": ["id"],
    "facets": [
        {
            "index": _index("https://news.example/1"),
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://news.example/1"}],
        },
        {"index": _index("#IKN"), "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "IKN"}]},
    ],
    "embed": {
        "$type": "app.bsky.embed.external",
        "external": {"uri": "https://news.example/1", "title": "Jembatan", "description": "Ringkasan"},
    },
}


def test_a_record_put_by_hand_is_read_back_with_facets_card_and_language(pds: Pds, login: Login) -> None:
    pds.put(login, {"3mexamplekey2": _RECORD})

    [record] = pds.records(login)

    assert record.rkey == "3mexamplekey2"
    assert record.text == _TEXT
    assert record.created_at == datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert record.languages == ("id",)
    assert record.facets == (
        Facet(covers="https://news.example/1", kind="link", value="https://news.example/1"),
        Facet(covers="#IKN", kind="tag", value="IKN"),
    )
    assert record.card == Card(url="https://news.example/1", title="Jembatan", description="Ringkasan")


def test_records_are_read_to_the_last_page(pds: Pds, login: Login) -> None:
    keys = [f"3mexample{letter}{other}22" for letter in "abcdefghijk" for other in "abcdefghij"]
    pds.put(login, dict.fromkeys(keys, _RECORD))

    assert [record.rkey for record in pds.records(login)] == keys


def test_the_pds_comes_back_from_an_outage_with_its_accounts_and_records(pds: Pds, login: Login) -> None:
    pds.put(login, {"3mexamplekey2": _RECORD})

    with pds.down(), pytest.raises(OSError, match="refused"):
        pds.records(login)
    pds.put(login, {"3mexamplekey3": _RECORD})

    assert [record.rkey for record in pds.records(login)] == ["3mexamplekey2", "3mexamplekey3"]


def test_the_feed_shows_published_articles_newest_first_in_the_language_of_the_site(site: WordPress) -> None:
    now = datetime.now(UTC)
    titles = ["Jembatan “baru” & IKN 🚢", "Kedua"]
    site.publish(*(Draft(title=title, date=now - timedelta(minutes=5 - n)) for n, title in enumerate(titles)))

    channel = ET.fromstring(site.get_feed().content)[0]

    shown = [item.findtext("title") for item in channel.iter("item")]
    assert shown == [*reversed(titles), "Berita lama"]
    assert channel.findtext("language") == "id-ID"


def test_a_second_article_in_the_same_second_leaves_the_validators_as_they_were(site: WordPress) -> None:
    second = datetime.now(UTC).replace(microsecond=0)
    site.publish(Draft(title="Pertama", date=second, modified=second))
    first = site.get_feed()
    site.publish(Draft(title="Kedua", date=second, modified=second))

    again = site.get_feed({"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    assert "Kedua" in site.get_feed().text
