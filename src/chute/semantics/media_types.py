"""The media type of a file, by the extension of its name.

RFC 9110, 8.3. A table of our own: the standard library's `mimetypes` reads whatever files the
machine has, so that the same site would be served differently on two hosts. What an operator wants
otherwise is configured above this.

Choices in it:

* `charset=utf-8` goes on every text/* type, text/javascript included (RFC 9239): nearly all text
  is, and without it clients guess. JSON has no such parameter (RFC 8259, 11). XML and SVG declare
  their encoding themselves, and a parameter would overrule them (RFC 7303, 3), which is also why
  `.xml` is application/xml and not text/xml.
* `.ts` is an MPEG transport stream, as in nginx: players need the type, while no browser runs
  TypeScript and tools that read it go by the name. Source code is text/plain, so that a browser
  shows it.
* A compound name goes by its last part: `.tar.gz` is application/gzip. Content-Encoding is not
  implied, because the archive is what was asked for.
"""

from __future__ import annotations

from typing import Final

DEFAULT_MEDIA_TYPE: Final = b"application/octet-stream"
"""What a name without a known extension gets: a client is to save it, not to guess."""

_EXTENSIONS_BY_TYPE: Final = {
    # Pages, and what they load.
    "text/html; charset=utf-8": "html htm shtml",
    "text/css; charset=utf-8": "css",
    "text/javascript; charset=utf-8": "js mjs cjs",
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/manifest+json": "webmanifest",
    "application/wasm": "wasm",
    "application/xhtml+xml": "xhtml",
    "application/xml": "xml xsd xsl rng",
    "application/xslt+xml": "xslt",
    "application/atom+xml": "atom",
    "application/rss+xml": "rss",
    # Text for people, and for the tools of people.
    "text/plain; charset=utf-8": (
        "txt text log conf cfg ini properties env diff patch asc sha256 sha512 md5 rst tex bib"
        " py pyi pyx rb go rs c h cc cpp cxx hpp java kt swift scala lua pl php r jl sh bash zsh"
        " fish tsx jsx vue svelte scss sass less sql graphql proto cmake gradle ipp jinja j2"
    ),
    "text/markdown; charset=utf-8": "md markdown",
    "text/csv; charset=utf-8": "csv",
    "text/tab-separated-values; charset=utf-8": "tsv",
    "text/calendar; charset=utf-8": "ics",
    "text/vcard; charset=utf-8": "vcf",
    "text/vtt; charset=utf-8": "vtt",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "application/x-subrip": "srt",
    "application/x-ipynb+json": "ipynb",
    "application/jsonl": "jsonl ndjson",
    # Images.
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg jpe",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/jxl": "jxl",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/x-icon": "ico",
    "image/vnd.adobe.photoshop": "psd",
    # Sound and film.
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/midi": "mid midi",
    "audio/webm": "weba",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov qt",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpg mpeg",
    "video/mp2t": "ts m2ts",
    "video/iso.segment": "m4s",
    "video/3gpp": "3gp",
    "video/x-flv": "flv",
    "application/vnd.apple.mpegurl": "m3u8",
    "audio/x-mpegurl": "m3u",
    "application/dash+xml": "mpd",
    # Fonts.
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    "application/vnd.ms-fontobject": "eot",
    # Documents.
    "application/pdf": "pdf",
    "application/postscript": "ps eps ai",
    "application/rtf": "rtf",
    "application/epub+zip": "epub",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    # Archives and packages.
    "application/zip": "zip whl",
    "application/gzip": "gz tgz",
    "application/zstd": "zst",
    "application/x-brotli": "br",
    "application/x-bzip2": "bz2 tbz2",
    "application/x-xz": "xz txz",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/java-archive": "jar war",
    "application/vnd.debian.binary-package": "deb",
    "application/x-rpm": "rpm",
    "application/vnd.android.package-archive": "apk",
    "application/x-iso9660-image": "iso",
    "application/x-apple-diskimage": "dmg",
    "application/vnd.microsoft.portable-executable": "exe dll",
    # Data sets, models and other large things.
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.file": "arrow feather",
    "application/vnd.sqlite3": "sqlite sqlite3",
    "application/x-hdf5": "h5 hdf5",
    "model/gltf-binary": "glb",
    "model/gltf+json": "gltf",
    "model/stl": "stl",
    "application/pgp-signature": "sig",
    "application/x-x509-ca-cert": "crt der",
    "application/x-pem-file": "pem",
    "application/x-bittorrent": "torrent",
    # Formats without a type of their own, named so that nobody has to wonder whether they were
    # forgotten.
    "application/octet-stream": "bin safetensors gguf npy npz pkl pt onnx img msi",
}

_TYPES_BY_EXTENSION: Final = {
    extension.encode(): media_type.encode()
    for media_type, extensions in _EXTENSIONS_BY_TYPE.items()
    for extension in extensions.split()
}


def media_type_for_name(name: bytes) -> bytes:
    """Return the media type for a file of this name.

    Args:
        name: the last segment of a path. A leading dot begins a hidden name and not an extension,
            as in nginx.

    Returns:
        The value for Content-Type; `DEFAULT_MEDIA_TYPE` when the extension is unknown or missing.
    """
    stem, _, extension = name.rpartition(b".")
    if not stem:
        return DEFAULT_MEDIA_TYPE
    found = _TYPES_BY_EXTENSION.get(extension)
    if found is not None:
        return found
    return _TYPES_BY_EXTENSION.get(extension.lower(), DEFAULT_MEDIA_TYPE)
