"""How a listing looks: its style sheet, and the symbols of its kinds of files.

Paper and brass by day, slate and brass by night. No font, image or anything else is fetched: symbols are SVG in the
page. Rows are grids with `content-visibility`, so that a browser lays out only those in sight, of however many; and
because a display of its own can take a table's meaning away, the rows say their roles themselves.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from chute.semantics.media_types import media_type_for_name

Look = tuple[str, str]
"""A letter and a symbol. The letter is the class of the row: it gives the colour and says how a preview is made."""

FOLDER_LOOK: Final[Look] = ("d", "d")
FILE_LOOK: Final[Look] = ("f", "f")

_LOOKS: Final[dict[str, Look]] = {
    # What browsers show: i, v and a in elements of their own, t, c and s as text.
    "image": ("i", "i"),
    "film": ("v", "v"),
    "sound": ("a", "a"),
    "text": ("t", "t"),
    "code": ("c", "c"),
    "sheet": ("s", "b"),
    # What they do not.
    "strange image": ("j", "i"),
    "strange film": ("w", "v"),
    "strange sound": ("o", "a"),
    "document": ("p", "t"),
    "archive": ("z", "z"),
    "data": ("b", "b"),
}
_MEDIA_TYPES: Final = {
    "image": "image/png image/apng image/jpeg image/gif image/webp image/avif image/svg+xml image/bmp image/x-icon",
    "film": "video/mp4 video/webm video/ogg video/quicktime",
    "sound": "audio/mpeg audio/mp4 audio/aac audio/ogg audio/wav audio/flac audio/webm",
    "code": (
        "text/html text/css text/javascript application/json application/ld+json application/geo+json"
        " application/manifest+json application/xhtml+xml application/xml application/xslt+xml application/atom+xml"
        " application/rss+xml application/yaml application/toml application/x-ipynb+json application/jsonl"
    ),
    "text": "application/x-subrip application/x-pem-file application/vnd.apple.mpegurl audio/x-mpegurl",
    "sheet": "text/csv text/tab-separated-values",
    "document": (
        "application/pdf application/postscript application/rtf application/epub+zip application/msword"
        " application/vnd.ms-excel application/vnd.ms-powerpoint"
    ),
    "archive": (
        "application/zip application/gzip application/zstd application/x-brotli application/x-bzip2 application/x-xz"
        " application/x-tar application/x-7z-compressed application/vnd.rar application/java-archive"
        " application/vnd.debian.binary-package application/x-rpm application/vnd.android.package-archive"
        " application/x-iso9660-image application/x-apple-diskimage"
    ),
    "data": (
        "application/vnd.apache.parquet application/vnd.apache.arrow.file application/vnd.sqlite3 application/x-hdf5"
    ),
}
_LOOK_BY_MEDIA_TYPE: Final = {
    media_type.encode(): _LOOKS[name]
    for name, media_types in _MEDIA_TYPES.items()
    for media_type in media_types.split()
}
_LOOK_BY_PREFIX: Final = {
    b"text/": _LOOKS["text"],
    b"image/": _LOOKS["strange image"],
    b"video/": _LOOKS["strange film"],
    b"audio/": _LOOKS["strange sound"],
    b"application/vnd.openxmlformats": _LOOKS["document"],
    b"application/vnd.oasis": _LOOKS["document"],
}
# Their media types (text/plain, application/octet-stream) say less than their names do.
_EXTENSIONS: Final = {
    "code": (
        "py pyi pyx rb go rs c h cc cpp cxx hpp java kt swift scala lua pl php r jl sh bash zsh fish tsx jsx vue svelte"
        " scss sass less sql graphql proto cmake gradle jinja j2 diff patch"
    ),
    "data": "safetensors gguf npy npz pkl pt onnx",
    "archive": "img",
}
_LOOK_BY_EXTENSION: Final = {
    extension.encode(): _LOOKS[name]
    for name, extensions in _EXTENSIONS.items()
    for extension in extensions.split()
}


def look_of(name: bytes) -> Look:
    """Return how a file with this name is shown."""
    stem, _, extension = name.rpartition(b".")
    return _look_of_extension(extension) if stem else FILE_LOOK


@functools.lru_cache(maxsize=1024)
def _look_of_extension(extension: bytes) -> Look:
    look = _LOOK_BY_EXTENSION.get(extension.lower())
    if look is not None:
        return look
    media_type = media_type_for_name(b"name." + extension).partition(b";")[0]
    look = _LOOK_BY_MEDIA_TYPE.get(media_type)
    if look is not None:
        return look
    prefixes = (prefix for prefix in _LOOK_BY_PREFIX if media_type.startswith(prefix))
    return _LOOK_BY_PREFIX.get(next(prefixes, b""), FILE_LOOK)


SYMBOLS: Final = """
<svg class=symbols aria-hidden=true>
<symbol id=d viewBox=0,0,24,24><path d="M3 18V6a2 2 0 0 1 2-2h4l2.5 2.5H19a2 2 0 0 1 2 2V18a2 2 0 0 1-2 2H5a2
2 0 0 1-2-2zM3 10h18"/></symbol>
<symbol id=f viewBox=0,0,24,24><path d="M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8zv5h5"/></symbol>
<symbol id=t viewBox=0,0,24,24><use href="#f"/><path d="M9 12h6m-6 3h6m-6 3h4"/></symbol>
<symbol id=c viewBox=0,0,24,24><use href="#f"/><path d="m10 12-2 2.5 2 2.5m4-5 2 2.5-2 2.5"/></symbol>
<symbol id=z viewBox=0,0,24,24><use href="#f"/><path d="M10 3v2m0 2v2m0 2v2m-1 1.5h2V18H9z"/></symbol>
<symbol id=i viewBox=0,0,24,24><rect x=3 y=4 width=18 height=16 rx=2 /><path d="m3 17 5-4 4 3 4-5 5 5M7
8h2v2H7z"/></symbol>
<symbol id=v viewBox=0,0,24,24><rect x=3 y=5 width=18 height=14 rx=2 /><path d="m10 9 5 3-5 3z"/></symbol>
<symbol id=a viewBox=0,0,24,24><path d="M9 17.5V6l10-2v11.5" fill=none /><circle cx=6.5 cy=17.5 r=2.5
/><circle cx=16.5 cy=15.5 r=2.5 /></symbol>
<symbol id=b viewBox=0,0,24,24><path d="M4 6v12c0 1.5 3.5 3 8 3s8-1.5 8-3V6"/><ellipse cx=12 cy=6 rx=8 ry=3
/><path d="M4 12c0 1.5 3.5 3 8 3s8-1.5 8-3" fill=none /></symbol>
</svg>
"""

DRAWINGS: Final = {
    "home": '<path d="m4 11 8-7 8 7M6 9.5V20h4v-6h4v6h4V9.5" fill=none />',
    "eye": (
        '<path d="M2.5 12S6 6 12 6s9.5 6 9.5 6-3.5 6-9.5 6-9.5-6-9.5-6z"/><circle cx=12 cy=12 r=2.5 />'
    ),
    "rows": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "grid": '<path d="M4 4h6v6H4zm10 0h6v6h-6zM4 14h6v6H4zm10 0h6v6h-6z"/>',
    "down": '<path d="M12 4v11m-4-4 4 4 4-4M4 20h16" fill=none />',
}
"""What is drawn but once or twice, and stands where it is seen."""

STYLE: Final = """
:root{
color-scheme:light dark;
--paper:light-dark(#f8f5ef,#11161c);
--sheet:light-dark(#fff,#181f27);
--ink:light-dark(#26221c,#ece6da);
--faded:light-dark(#716858,#9aa3ab);
--line:light-dark(#e8e0d2,#28323d);
--wash:light-dark(#f6f0e4,#202a34);
--brass:light-dark(#8f6118,#e3b768)
}
.d{--hue:light-dark(#b9812a,#e3b05c)}
.i,.j{--hue:light-dark(#7b4fcf,#b196ff)}
.v,.w,.p{--hue:light-dark(#c8365c,#ff86a0)}
.a,.o{--hue:light-dark(#0b806a,#52cfae)}
.z{--hue:light-dark(#8a6238,#d3aa7c)}
.c{--hue:light-dark(#2469c2,#7fb4ff)}
.b,.s{--hue:light-dark(#0b7a90,#5ac9dc)}
*{box-sizing:border-box;margin:0;padding:0}
[hidden],.symbols,td img,.keys{display:none!important}
body{
display:flex;flex-direction:column;max-width:76rem;min-height:100vh;margin:auto;padding:2rem;
background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif
}
svg{
width:24px;height:24px;flex:none;fill:currentColor;fill-opacity:.2;
stroke:currentColor;stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round
}
a{color:inherit;text-decoration:none}
p a{color:var(--brass);text-decoration:underline}
:focus-visible{outline:2px solid var(--brass);outline-offset:2px}
header,.tools,.views,ol,li,button,.button,h1{display:flex;align-items:center;gap:.5rem}
header,footer{flex-wrap:wrap;justify-content:space-between}
header{margin-bottom:1rem}
nav{flex:1 1 16rem}
ol{flex-wrap:wrap;font-size:1.3rem}
ol,li,.views{gap:0}
li,h1{overflow-wrap:anywhere;white-space:pre-wrap;min-width:0}
li+li:before{content:"/";opacity:.4}
li>*{padding:.1em .25em}
li a,.empty{color:var(--faded)}
li a{display:flex}
a:hover,button:hover,[aria-sort] a,[aria-pressed=true]{color:var(--brass)}
button:hover,.button:hover,[aria-pressed=true]{background:var(--wash)}
h1{font:inherit;font-weight:650}
.tools{flex-wrap:wrap}
.views :first-child{border-radius:10px 0 0 10px;margin-right:-1px}
.views :last-child{border-radius:0 10px 10px 0}
[role=search]{flex:1 1 11rem}
input,button,.button{
height:38px;padding:0 .7rem;font:inherit;color:inherit;background:var(--sheet);
border:1px solid var(--line);border-radius:10px
}
#filter{width:100%}
::placeholder{color:var(--faded)}
.tools svg,.eye svg{width:18px}
table,thead,tbody{display:block}
table,dialog{background:var(--sheet);color:inherit;border:1px solid var(--line);border-radius:14px;overflow:clip}
tr{display:grid;grid-template-columns:minmax(0,1fr) 7rem 11rem;align-items:center}
thead{position:sticky;top:0;z-index:3;background:var(--sheet)}
th{font-size:.8rem;font-weight:600;text-align:left}
th a{display:block;padding:.6rem 1rem;color:var(--faded);white-space:nowrap}
tr>:nth-child(2){text-align:right}
[aria-sort] a:after{content:" \\2191"/""}
[aria-sort=descending] a:after{content:" \\2193"/""}
tbody tr{position:relative;border-top:1px solid var(--line);content-visibility:auto;contain-intrinsic-size:auto 44px}
tbody tr:hover,tbody tr:focus-within{background:var(--wash)}
td{display:flex;align-items:center;min-width:0}
td+td{display:block;padding:0 1rem;color:var(--faded);font-size:.875rem;font-variant-numeric:tabular-nums}
td a{
flex:1;min-width:0;display:flex;align-items:center;gap:.8rem;min-height:43px;padding:.5rem 1rem;
scroll-margin:3.5rem 0 1rem
}
td a:focus-visible{outline-offset:-3px}
td span{min-width:0;overflow-wrap:anywhere;white-space:pre-wrap;unicode-bidi:plaintext}
.d a{font-weight:550}
td a svg,.empty svg{color:var(--hue,var(--faded))}
.eye{border:0;background:none;color:var(--faded);opacity:0}
tr:hover .eye,tr:focus-within .eye{opacity:1}
.empty{
display:grid;place-content:center;justify-items:center;gap:.4rem;min-height:60vh;margin-top:.75rem;text-align:center;
border:2px dashed var(--line);border-radius:14px
}
.empty svg{width:72px;height:72px;stroke-width:.8}
b{font-size:1.15rem;color:var(--ink)}
footer{display:flex;gap:.4rem 1rem;margin-top:auto;padding:1rem;color:var(--faded);font-size:.8rem}
kbd{font:600 .75rem monospace;border:1px solid var(--line);border-radius:5px;padding:.1em .4em}
.grid{
body{max-width:110rem}
table{background:none;border:0;border-radius:0}
thead{border:1px solid var(--line);border-radius:10px;margin-bottom:.75rem}
thead tr{display:flex}
tbody{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(10.5rem,42%),1fr));gap:.75rem}
tbody tr{
display:flex;flex-direction:column;align-items:stretch;background:var(--sheet);border:1px solid var(--line);
border-radius:14px
}
td:first-child{display:block;flex:1}
td a{display:block;padding:0}
td a svg,td img{display:block!important;width:100%;height:8rem;object-fit:cover;background:var(--wash)}
td a svg{padding:2rem;stroke-width:1}
td a img+svg,.eye,:not(.d)>td+td+td{display:none!important}
td span{
display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden;margin:.6rem .75rem .1rem
}
td+td{padding:0 .75rem .6rem;text-align:left!important}
td:empty{padding:0}
}
dialog{width:72rem;max-width:calc(100vw - 1.5rem);max-height:calc(100dvh - 1.5rem);margin:auto}
dialog[open]{display:flex;flex-direction:column}
dialog::backdrop{background:#0a0c0fb0;backdrop-filter:blur(6px)}
dialog header{margin:0;padding:.6rem .6rem .6rem 1rem;border-bottom:1px solid var(--line)}
hgroup{flex:1 1 11rem;min-width:0;overflow-wrap:anywhere}
h2{font-size:1rem}
hgroup p{color:var(--faded);font-size:.8rem}
#stage{flex:1;display:grid;place-items:center;min-height:9rem;overflow:auto;background:var(--paper)}
#stage>*{max-width:100%;max-height:calc(100dvh - 8rem)}
#stage audio{width:30rem}
pre{
place-self:start;max-height:none!important;padding:1rem;font:13px/1.5 monospace;
white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4
}
@media(hover:none){.eye{opacity:.8}}
@media(hover) and (min-width:48rem){.keys{display:block!important}}
@media(max-width:40rem){
body{padding:.75rem}
nav,hgroup{flex-basis:100%}
.tools{flex:1}
[role=search]{flex-basis:60%}
td a:after{content:"";position:absolute;inset:0}
.eye{position:absolute;right:0;top:.4rem;z-index:1}
html:not(.grid){
thead tr{display:flex}
tbody tr{grid-template-columns:auto 1fr;padding-bottom:.55rem}
td:first-child{grid-column:1/3}
td a{min-height:0;padding-bottom:0}
td a svg{margin-bottom:-1.3rem}
td+td{padding:0 0 0 3.25rem;font-size:.8rem}
td+td+td{padding-left:.6rem}
td:empty{padding:0 0 0 2.65rem}
}
}
"""

UPLOAD_STYLE: Final = """
label{position:relative}
#pick{position:absolute;inset:0;opacity:0}
#send{display:contents}
@media (scripting:none){#send noscript{display:contents}#pick{position:static;opacity:1;max-width:14rem}}
#drop,#uploads{position:fixed;inset:auto 1rem 1rem auto;border-radius:14px;z-index:8}
#drop{
inset:0;display:grid;place-items:center;border:3px dashed var(--brass);
background:color-mix(in srgb,var(--paper) 85%,transparent);font-size:1.5rem;color:var(--brass);pointer-events:none
}
#uploads{
width:24rem;max-width:calc(100% - 2rem);max-height:60vh;overflow:auto;padding:.5rem 1rem;
background:var(--sheet);border:1px solid var(--line);box-shadow:0 8px 30px #0004
}
#uploads li{flex-wrap:wrap;padding:.45rem 0;font-size:.875rem}
#uploads li:before{content:none}
#uploads b{flex:1 1 8rem;font-size:inherit;overflow-wrap:anywhere}
#uploads progress{flex-basis:100%;height:6px;padding:0;accent-color:var(--brass)}
.failed{color:light-dark(#c8365c,#ff86a0)}
.failed progress{display:none}
"""


def _compact(source: str) -> str:
    """Return a style sheet without the line ends and indentation that only people need."""
    return re.sub(r"\s*([{};,])\s*", r"\1", source.strip()).replace(";}", "}")


STYLES: Final = {False: _compact(STYLE), True: _compact(STYLE + UPLOAD_STYLE)}
"""The style sheet as it is sent, without uploads and with them."""
