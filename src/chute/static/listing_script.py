"""What a listing does in a browser that runs scripts; without one, every link and the filter work all the same.

Names come from strangers, so the script makes elements and sets `textContent`; it never writes HTML. It reads what it
needs (sizes, dates, kinds) from the table: nothing is embedded in it, and its hash never changes.

Sorting follows `listing.arrange`: the same folding of case and accents, the same way with numbers, folders first.
Rows are dressed (local dates, buttons) in portions, so that a long listing can be used before all of it is.
"""

from __future__ import annotations

import re
from typing import Final

SCRIPT: Final = r"""
(() => {
const root = document.documentElement;
const find = (selector, within = document) => within.querySelector(selector);
const make = (name, properties) => Object.assign(document.createElement(name), properties);
const isChord = event => event.ctrlKey || event.metaKey || event.altKey;
let isGrid = false;
// Storage may be forbidden.
try { isGrid = localStorage.chuteView === "grid"; } catch {}
root.classList.toggle("grid", isGrid);

addEventListener("DOMContentLoaded", () => {
const list = find("tbody");
const filter = find("#filter"), count = find("#count"), dialog = find("dialog"), stage = find("#stage");
const rows = [...list.rows], counted = count.textContent;
let isStudied;
const link = row => find("a", row);
const bytes = row => +row.cells[1].title.replace(/\D/g, "");
const fold = text => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
// What rows are sorted and filtered by, made when first asked for.
const study = () => {
  if (isStudied) return;
  isStudied = true;
  for (const row of rows) {
    row.text = link(row).textContent;
    row.folded = fold(row.text);
    row.natural = row.folded.replace(/\d+/g, digits => digits.padStart(20, 0));
    row.size = bytes(row);
    row.modified = Date.parse(find("time", row)?.dateTime) || 0;
    row.rank = +(row.className !== "d");
  }
};

const compare = (one, other, key) => one[key] < other[key] ? -1 : +(one[key] > other[key]);
const sort = (column, sign) => {
  study();
  const byName = (a, b) => compare(a, b, "natural") || compare(a, b, "text");
  rows.sort((a, b) => a.rank - b.rank || (
    column === "name" ? sign * byName(a, b) : sign * compare(a, b, column) || byName(a, b)));
  const sorted = new DocumentFragment();
  for (const row of rows) sorted.append(row);
  list.append(sorted);
};
const heads = document.querySelectorAll("th a");
for (const head of heads) head.onclick = event => {
  if (isChord(event) || event.shiftKey) return;
  event.preventDefault();
  const cell = head.parentNode, {form} = filter;
  form.sort.value = new URL(head.href).searchParams.get("sort");
  // Sizes and dates begin with the largest and the newest.
  const isDown = cell.ariaSort ? cell.ariaSort === "ascending" : form.sort.value !== "name";
  form.order.value = isDown ? "desc" : "asc";
  sort(form.sort.value, isDown ? -1 : 1);
  for (const other of heads) other.parentNode.ariaSort = null;
  cell.ariaSort = isDown ? "descending" : "ascending";
  history.replaceState(null, "", "?" + new URLSearchParams(new FormData(form)));
};

const sift = () => {
  study();
  const needle = fold(filter.value);
  let shown = 0;
  for (const row of rows) shown += !(row.hidden = !row.folded.includes(needle));
  find("#none").hidden = shown;
  count.textContent = shown === rows.length ? counted
    : `${shown} of ${rows.length} shown`;
};
const clear = () => {
  filter.value = "";
  sift();
};
filter.oninput = sift;
filter.form.onsubmit = event => {
  event.preventDefault();
  if (filter.value) find("tr:not([hidden]) a", list)?.click();
};
onpageshow = () => { if (filter.value !== filter.defaultValue) sift(); };

const views = document.querySelectorAll(".views button");
const show = view => {
  isGrid = view === "grid";
  root.classList.toggle("grid", isGrid);
  for (const button of views) button.ariaPressed = button.value === view;
  if (isGrid) for (const row of rows) if (row.className === "i" && bytes(row) < 2e7 && !find("img", row)) {
    const image = make("img", {loading: "lazy", src: link(row).href});
    image.onerror = () => image.remove();
    link(row).prepend(image);
  }
};
for (const button of views) button.onclick = () => {
  show(button.value);
  try { localStorage.chuteView = button.value; } catch {}
};
find(".views").hidden = !rows.length;
show(isGrid ? "grid" : "rows");

const relative = new Intl.RelativeTimeFormat("en");
const when = date => {
  const minutes = Math.floor((Date.now() - date) / 6e4);
  if (minutes < 0 || minutes >= 10080)
    return new Date(date - date.getTimezoneOffset() * 6e4).toISOString().slice(0, 16).replace("T", " ");
  if (!minutes) return "just now";
  const [length, unit] = minutes < 60 ? [1, "minute"] : minutes < 1440 ? [60, "hour"] : [1440, "day"];
  return relative.format(-Math.floor(minutes / length), unit);
};
const canShow = row => /[ivacts]/.test(row.className);
const eye = find("template").content.firstChild;
const dress = (from, end) => {
  for (const row of rows.slice(from, end)) {
    const time = find("time", row);
    if (time) time.textContent = when(new Date(time.dateTime));
    if (canShow(row)) row.cells[0].append(eye.cloneNode(true));
  }
  if (end < rows.length) setTimeout(dress, 0, end, end + 500);
};
find("small").remove();
dress(0, 100);

const next = (row, step) => {
  do row = step < 0 ? row.previousSibling : row.nextSibling; while (row && (row.hidden || !row.cells));
  return row;
};
let seen;
const preview = async row => {
  const {href, textContent} = link(row), size = bytes(row);
  const put = (name, properties) => seen === row && stage.replaceChildren(make(name, properties));
  const fail = () => put("p", {textContent: "This browser cannot show this file."});
  seen = row;
  find("h2").textContent = textContent;
  find("hgroup p").textContent = row.cells[1].textContent + " \u00b7 " + row.cells[2].textContent;
  for (const other of dialog.querySelectorAll("a")) other.href = href;
  stage.replaceChildren();
  if (!dialog.open) dialog.showModal();
  const name = {i: "img", v: "video", a: "audio"}[row.className];
  if (name) return put(name, {onerror: fail, alt: textContent, controls: true, src: href});
  try {
    const reply = size && await fetch(href, {headers: {Range: "bytes=0-65535"}});
    if (size && reply.status !== 206 && (size > 65536 || !reply.ok)) throw 0;
    put("pre", {tabIndex: 0, textContent: (size ? await reply.text() : "") + (size > 65536 ? "\n\u2026" : "")});
  } catch { fail(); }
};
const turn = step => {
  let row = seen;
  do row = next(row, step); while (row && !canShow(row));
  if (row) preview(row);
};
dialog.onclose = () => {
  stage.replaceChildren();
  link(seen).focus();
  seen = null;
};
dialog.onclick = event => {
  const button = event.target.closest("button");
  if (event.target === dialog || button?.value === "0") dialog.close();
  else if (button) turn(+button.value);
};
dialog.onkeydown = event => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (step && !isChord(event) && !event.target.closest("audio,video")) turn(step);
};
list.onclick = event => {
  const row = event.target.closest("tr");
  const isTap = isGrid && event.detail && !isChord(event) && !event.shiftKey && /[iva]/.test(row.className);
  if (!isTap && !event.target.closest("button")) return;
  event.preventDefault();
  preview(row);
};
if (!filter.defaultValue) find("#none").onclick = event => {
  event.preventDefault();
  clear();
};

const move = step => {
  let row = document.activeElement.closest("tbody tr");
  if (row) for (let left = Math.abs(step); left && row; left--) row = next(row, step);
  else row = find("tr:not([hidden])", list);
  if (row) link(row).focus();
};
onkeydown = event => {
  const {key, target} = event, row = target.closest?.("tbody tr");
  if (isChord(event) || dialog.open || target === filter && !/^(ArrowDown|Escape)$/.test(key)) return;
  const columns = isGrid ? getComputedStyle(list).gridTemplateColumns.split(" ").length : 1;
  if (key === "/") filter.focus();
  else if (key === "Escape") clear();
  else if (key === "Backspace" || key === "h") find("#parent")?.click();
  else if (key === "ArrowDown" || key === "j") move(columns);
  else if (key === "ArrowUp" || key === "k") move(-columns);
  else if (isGrid && key === "ArrowLeft") move(-1);
  else if (isGrid && key === "ArrowRight") move(1);
  else if (key === " " && row && target === link(row) && canShow(row)) preview(row);
  else return;
  event.preventDefault();
};
});
})();
"""

UPLOADS: Final = r"""
addEventListener("DOMContentLoaded", () => {
const find = selector => document.querySelector(selector);
const make = (name, properties) => Object.assign(document.createElement(name), properties);
const waiting = [];
let active = 0, failures = 0;

const enlist = file => {
  const line = make("li"), bar = make("progress", {value: 0, ariaLabel: file.name});
  const note = make("span", {textContent: "waiting"});
  line.append(make("b", {textContent: file.name}), note, bar);
  find("#uploads ul").append(line);
  find("#uploads").hidden = false;
  return {file, line, bar, note};
};
const fail = ({line, note}, why) => {
  failures++;
  line.className = "failed";
  note.textContent = why;
};
const proceed = () => {
  while (active < 2 && waiting.length) send(waiting.shift());
  if (active) return;
  if (failures) find("#reload").hidden = false;
  else location.reload();
};
// XMLHttpRequest, for fetch does not tell how much has been sent.
const send = (upload, replaces) => {
  const {file, line, bar, note} = upload, request = new XMLHttpRequest();
  active++;
  request.open("PUT", "./" + encodeURIComponent(file.name));
  request.setRequestHeader(replaces ? "If-Match" : "If-None-Match", "*");
  request.upload.onprogress = event => {
    bar.value = event.loaded / event.total || 0;
    note.textContent = Math.floor(bar.value * 100) + " %";
  };
  request.onloadend = () => {
    const {status, statusText} = request;
    active--;
    if (status >= 200 && status < 300) {
      bar.value = 1;
      note.textContent = "done";
    } else if (status === 412) {
      fail(upload, "is already here");
      const button = make("button", {type: "button", textContent: "Replace"});
      button.onclick = () => {
        button.remove();
        failures--;
        line.className = "";
        send(upload, true);
      };
      line.append(button);
    } else fail(upload, status ? `refused: ${status} ${statusText}` : "the connection was lost");
    proceed();
  };
  request.send(file);
};
const take = files => {
  waiting.push(...[...files].map(enlist));
  if (waiting.length) proceed();
};
find("#pick").onchange = event => take(event.target.files);
find("#reload").onclick = () => location.reload();

const holdsFiles = event => event.dataTransfer.types.includes("Files");
const drop = find("#drop");
ondragover = event => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  drop.hidden = false;
};
ondragleave = event => {
  if (!event.relatedTarget) drop.hidden = true;
};
ondrop = event => {
  drop.hidden = true;
  if (!holdsFiles(event)) return;
  event.preventDefault();
  const files = [];
  for (const item of event.dataTransfer.items) {
    const file = item.getAsFile();
    if (item.webkitGetAsEntry?.()?.isDirectory) fail(enlist(file), "is a folder; drop its files");
    else if (file) files.push(file);
  }
  take(files);
};
onbeforeunload = event => { if (active) event.preventDefault(); };
});
"""


def _compact(source: str) -> str:
    """Return a script without comments, indentation, and spaces beside punctuation.

    Strings stay as they are. Regular expressions are not told from divisions: the ones above hold no space.
    """
    lines = (line.strip() for line in source.splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("//"))
    code = _SPACED.sub(lambda match: match["string"] or match["sign"], code)
    return re.sub(r"(?<=[{;,(>])\n|\n(?=[})])", "", code)


_SPACED: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)|[ ]?(?P<sign>[{}()\[\];,:?=<>+*&|!-])[ ]?"""
)

SCRIPTS: Final = {False: _compact(SCRIPT), True: _compact(SCRIPT + UPLOADS)}
"""The script as it is sent, without uploads and with them."""
