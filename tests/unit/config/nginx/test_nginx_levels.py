"""What a level takes over from the one around it, in nginx and in chute; what differs is written."""

from __future__ import annotations

from pathlib import Path

from nginx_translation import Table, lines_of, translate_text


def site_of(folder: Path, text: str, around: str = "") -> Table:
    """Return the only site of a configuration without anything left out."""
    table, translation = translate_text(
        folder, f"http {{ {around} server {{ listen 80; server_name a.org; root /srv; {text} }} }}"
    )
    assert lines_of(translation) == []
    site: Table = table["site"][0]
    return site


def test_level_with_a_field_takes_back_those_around_it(tmp_path: Path):
    site = site_of(
        tmp_path,
        "add_header B 2; location /x/ { add_header C 3; location /x/y/ { gzip on; } } location /z/ { }",
        around="add_header A 1;",
    )
    assert site["fields"] == {"B": "2", "A": ""}
    inner, other = site["location"]
    assert inner["fields"] == {"C": "3", "B": ""}
    assert "fields" not in inner["location"][0]
    assert "fields" not in other


def test_field_that_is_added_again_is_not_written_again(tmp_path: Path):
    site = site_of(tmp_path, "add_header A 1; location /x/ { add_header a 1; add_header B 2; }")
    assert site["location"][0]["fields"] == {"a": "1", "B": "2"}


def test_why_fields_are_empty_is_told(tmp_path: Path):
    _, translation = translate_text(
        tmp_path,
        "server { add_header A 1 always; root /srv; location /x/ { add_header B 2 always; } }",
    )
    assert "# Empty values: nginx inherits no field where one is added." in translation.text


def test_caching_is_inherited_apart_from_fields(tmp_path: Path):
    site = site_of(
        tmp_path,
        "expires 1h; add_header Cache-Control public; location /x/ { add_header A 1; }"
        " location /y/ { expires off; } location /z/ { expires 1h; }",
    )
    assert site["files"]["cache"] == {"*": "max-age=3600, public"}
    assert "fields" not in site
    first, second, third = site["location"]
    assert first["files"]["cache"] == {"*": "max-age=3600"}
    assert second["files"]["cache"] == {"*": "public"}
    assert "files" not in third


def test_what_is_tried_is_not_inherited(tmp_path: Path):
    site = site_of(
        tmp_path,
        "location /x/ { try_files $uri =404; location /x/y/ { } location /x/z/ { try_files $uri =410; } }",
    )
    (outer,) = site["location"]
    plain, own = outer["location"]
    assert plain["files"]["try_files"] == ["$uri", "$uri/"]
    assert own["files"]["try_files"] == ["$uri", "=410"]


def test_what_a_server_tries_is_for_what_no_location_is_for(tmp_path: Path):
    site = site_of(tmp_path, "try_files $uri $uri/ =404; location /x/ { }")
    assert "files" not in site
    assert [location["match"] for location in site["location"]] == ["/x/", "/"]
    assert "files" not in site["location"][0]
    assert site["location"][1]["files"]["try_files"] == ["$uri", "$uri/", "=404"]


def test_what_a_server_tries_is_never_reached_beside_a_location_for_all(tmp_path: Path):
    site = site_of(tmp_path, "try_files $uri =404; location / { }")
    assert site["location"] == [{"match": "/"}]


def test_fallback_of_nginx_is_a_location_that_rewrites(tmp_path: Path):
    site = site_of(
        tmp_path,
        "location / { try_files $uri $uri/ /index.html; } location /a/ { try_files $uri /index.html; }"
        " location /b/ { try_files $uri /b.php?q=$uri&$args; } location /c/ { try_files $uri @fallback_1; }"
        " location /d/ { try_files $uri /d$is_args$args; } location @fallback_1 { return 404; }",
    )
    tried = {each["match"]: each.get("files", {}).get("try_files") for each in site["location"]}
    assert tried == {
        "/": ["$uri", "$uri/", "@fallback_2"],
        "/a/": ["$uri", "@fallback_2"],
        "/b/": ["$uri", "@fallback_3"],
        "/c/": ["$uri", "@fallback_1"],
        "/d/": ["$uri", "@fallback_4"],
        "@fallback_1": None,
        "@fallback_2": None,
        "@fallback_3": None,
        "@fallback_4": None,
    }
    assert [each["rewrite"] for each in site["location"] if "rewrite" in each] == [
        [{"to": "/index.html?", "then": "last"}],
        [{"to": "/b.php?q=$uri&$args?", "then": "last"}],
        [{"to": "/d?$args?", "then": "last"}],
    ]


def test_error_page_with_variables_is_a_location_that_rewrites(tmp_path: Path):
    site = site_of(tmp_path, "error_page 404 /e; error_page 403 /e?u=$uri;")
    assert site["error_pages"] == {"404": "/e", "403": "@fallback_1"}
    assert site["location"] == [
        {"match": "@fallback_1", "rewrite": [{"to": "/e?u=$uri?", "then": "last"}]},
    ]


def test_password_is_asked_for_until_it_is_switched_off(tmp_path: Path):
    site = site_of(
        tmp_path,
        "auth_basic_user_file users; location /x/ { auth_basic A; location /x/y/ { auth_basic off; } }",
    )
    assert "auth" not in site
    (outer,) = site["location"]
    assert outer["auth"] == {"file": str(tmp_path / "users"), "realm": "A"}
    assert outer["location"][0]["auth"] == "off"


def test_location_within_an_alias_keeps_it(tmp_path: Path):
    site = site_of(
        tmp_path,
        "location /s/ { alias /data/s/; location /s/t/ { } location ~ x$ { } location /s/u/ { root /r; } }",
    )
    prefix, regex, other = site["location"][0]["location"]
    assert prefix["alias"] == "/data/s/t/"
    assert regex == {"match": "~ x$", "root": "/data"}
    assert other["root"] == "/r"


def test_regex_within_an_alias_of_another_name_is_told(tmp_path: Path):
    _, translation = translate_text(
        tmp_path, "server { root /srv; location /s/ { alias /data/; location ~ x$ { } } }"
    )
    assert lines_of(translation) == [
        "location ~ x$: the alias /data/ around it cannot be carried over to this location"
    ]


def test_alias_that_glues_names_is_told(tmp_path: Path):
    _, translation = translate_text(
        tmp_path,
        "server { root /srv; location /s/ { alias /data; } location ~ ^/t { alias /data/; } }",
    )
    assert [line.partition(":")[0] for line in lines_of(translation)] == [
        "alias /data",
        "alias /data/",
    ]


def test_location_that_answers_hands_its_files_down(tmp_path: Path):
    site = site_of(
        tmp_path,
        "location /x/ { root /r; index a.html; return 404; location /x/y/ { autoindex on; } }",
    )
    (outer,) = site["location"]
    assert outer["respond"] == 404
    assert not {"root", "files"} & set(outer)
    assert outer["location"][0] == {
        "match": "/x/y/",
        "root": "/r",
        "files": {"index": ["a.html"], "listing": True},
    }


def test_closed_server_has_no_door(tmp_path: Path):
    table, _ = translate_text(
        tmp_path,
        "server { root /srv; allow 10.0.0.0/8; deny all; location /x/ { location /x/y/ { allow all; } } }",
    )
    assert table["site"][0]["location"] == [
        {"match": "/x/", "respond": 403, "location": [{"match": "/x/y/"}]},
        {"match": "/", "respond": 403},
    ]


def test_source_of_an_index_program_is_not_sent(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        r"server { root /srv; index index.php index.html; location ~ \.php$ { fastcgi_pass x; } }",
    )
    assert table["site"][0]["files"]["index"] == ["index.html"]
    assert lines_of(translation)[1] == (
        "index index.php index.html: chute would send index.php itself, and not what location ~ \\.php$ answers"
    )


def test_index_program_of_all_servers_is_not_sent_where_it_is_one(tmp_path: Path):
    table, _ = translate_text(
        tmp_path,
        r"http { index a.php; server { root /srv; location ~ \.php$ { fastcgi_pass x; } }"
        " server { listen 81; root /srv; } }",
    )
    assert table["defaults"]["files"]["index"] == ["a.php"]
    assert [site.get("files") for site in table["site"]] == [{"index": []}, None]


def test_rules_for_an_index_page_are_told(tmp_path: Path):
    _, translation = translate_text(
        tmp_path, "server { root /srv; location = /index.html { expires -1; } }"
    )
    assert lines_of(translation) == [
        "location = /index.html: nginx comes here for the index page index.html of a folder too, chute does not"
    ]


def test_usual_index_page_that_another_location_answers_for_is_told(tmp_path: Path):
    table, translation = translate_text(
        tmp_path, "server { root /srv; location = /index.html { return 404; } }"
    )
    assert table["site"][0]["files"]["index"] == []
    assert lines_of(translation) == [
        "location = /index.html: chute would send index.html itself, and not what location = /index.html answers"
    ]


def test_literal_location_within_a_regular_expression_is_never_found_by_nginx(tmp_path: Path):
    inner = "location /a/b { return 403; } location ~ c { return 404; }"
    text = f"http {{ server {{ root /srv; location ~ ^/a {{ {inner} }} }} }}"
    table, translation = translate_text(tmp_path, text)
    (location,) = table["site"][0]["location"]
    assert [inner["match"] for inner in location["location"]] == ["~ c"]
    assert any("never looks at a literal location" in note.why for note in translation.notes)
