"""The index page of a bundle of `lab.logs`, and what is told on the terminal."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from html import escape
from urllib.parse import quote

from stacklab.foreign import printable
from stacklab.workflow.logs.bundle import Bundle, Item
from stacklab.workflow.logs.logs import MARK, Written

_STYLE = """
:root { color-scheme: light dark; --fg: #1c2024; --bg: #fff; --dim: #60646c; --line: #d9d9e0;
  --bad: #b42318; --good: #18794e; --card: #f7f7f8; --link: #0b68cb; }
@media (prefers-color-scheme: dark) {
  :root { --fg: #edeef0; --bg: #111113; --dim: #b0b4ba; --line: #363a3f;
    --bad: #ff9592; --good: #3dd68c; --card: #18191b; --link: #70b8ff; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 16px/1.45 system-ui, sans-serif;
  color: var(--fg); background: var(--bg); }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
p { margin: .3rem 0 }
.dim { color: var(--dim) } .bad { color: var(--bad) } .good { color: var(--good) }
a { color: var(--link); overflow-wrap: anywhere }
nav a, .node { display: inline-block; margin: .3rem .4rem 0 0; padding: .15rem .6rem;
  border: 1px solid var(--line); border-radius: 1rem; text-decoration: none;
  background: var(--card) }
table { border-collapse: collapse; width: 100% }
td { padding: .3rem .5rem .3rem 0; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere }
td:last-child { text-align: right; white-space: nowrap; padding-right: 0; color: var(--dim) }
.missing td:last-child { text-align: left; white-space: normal; color: var(--bad) }
@media (max-width: 36rem) {
  td { display: block; border: 0; padding: 0 }
  td:first-child { border-top: 1px solid var(--line); padding-top: .4rem }
  td:last-child { text-align: left; padding-bottom: .4rem } }
"""
# The page has one inline style and nothing else; whatever slips into it loads and runs nothing.
_STYLE_DIGEST = hashlib.sha256(_STYLE.encode()).digest()
_STYLE_HASH = base64.b64encode(_STYLE_DIGEST).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
)
_NOTHING = '<p class="bad">nothing could be had</p>'
# Parts of the paths of files that are looked at first, in that order.
_WANTED_FIRST = ("events.log", "console/", "journal.txt", "units.txt", "dmesg.txt")


def index_page(bundle: Bundle) -> str:
    """Return the page: what is missing on top, then every file with a link, by section."""
    taken = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(bundle.taken_at))
    # Also those whose files are all missing, in the order in which they were collected.
    sections = list(dict.fromkeys(item.section for item in bundle.items))
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{MARK}',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>logs of {escape(bundle.lab)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Logs of lab {escape(bundle.lab)}</h1>",
        f'<p class="dim">collected {taken}: {_amount_text(bundle)}</p>',
        *_state_lines(bundle),
        "<nav>",
    ]
    for section in sections:
        heading = escape(_heading(section))
        parts.append(f'<a href="#{_anchor_name(section)}">{heading}</a>')
    parts.append("</nav>")
    parts += _missing_lines(bundle)
    for section in sections:
        parts += _section_lines(bundle, section)
    return "\n".join([*parts, "</body></html>", ""])


def _section_lines(bundle: Bundle, section: str) -> Iterator[str]:
    """Yield a heading, and the table of what could be had of a node or of the host."""
    yield f'<h2 id="{_anchor_name(section)}">{escape(_heading(section))}</h2>'
    items = [item for item in _collected_items(bundle) if item.section == section]
    if not items:
        yield _NOTHING
        return
    yield "<table>"
    for item in _most_wanted_first(items):
        yield _item_row(item)
    yield "</table>"


def _collected_items(bundle: Bundle) -> list[Item]:
    return [item for item in bundle.items if not item.why_not]


def _amount_text(bundle: Bundle) -> str:
    """Return how much was collected, and that no secret is in it."""
    items = _collected_items(bundle)
    size = _size_text(sum(item.size for item in items))
    return f"{len(items)} files, {size}; passwords and keys are masked"


def summary_lines(written: Written) -> Iterator[str]:
    """Yield the lines for the terminal: where the logs are, how much, and what is missing."""
    is_archive = written.path.name.endswith("gz")
    first = "" if is_archive else "/index.html"
    yield f"{written.path}{first}: {_amount_text(written.bundle)}"
    for item in written.bundle.missing:
        yield printable(f"not had: {item.path}: {item.why_not}")


def _state_lines(bundle: Bundle) -> Iterator[str]:
    """Yield the states of the nodes; nothing where none is known."""
    if not bundle.states:
        yield '<p class="bad">what the nodes do is not known: libvirtd did not tell</p>'
        return
    yield "<p>"
    for name, state in bundle.states.items():
        kind = "good" if state == "running" else "bad"
        yield f'<span class="node">{escape(name)} <b class="{kind}">{escape(state)}</b></span>'
    yield "</p>"


def _missing_lines(bundle: Bundle) -> Iterator[str]:
    """Yield a table of what could not be had, each with the reason."""
    if not bundle.missing:
        return
    yield '<h2>Could not be had</h2><table class="missing">'
    for item in bundle.missing:
        what = f"{escape(item.path)}<br><span class=dim>{escape(item.title)}</span>"
        # The reason may be a node's own words.
        why_not = escape(printable(item.why_not))
        yield f"<tr><td>{what}</td><td>{why_not}</td></tr>"
    yield "</table>"


def _item_row(item: Item) -> str:
    # Names and titles of a node's files may be the node's own words.
    name = escape(printable(item.path.partition("/")[2]))
    title = escape(printable(item.title))
    link = f'<a href="{escape(quote(item.path))}">{name}</a>'
    return f"<tr><td>{link}</td><td>{title}</td><td>{_size_text(item.size)}</td></tr>"


def _most_wanted_first(items: list[Item]) -> list[Item]:
    """Return first what is looked at first; the rest as it was collected."""

    def rank(item: Item) -> int:
        for place, part in enumerate(_WANTED_FIRST):
            if part in item.path:
                return place
        return len(_WANTED_FIRST)

    return sorted(items, key=rank)


def _heading(section: str) -> str:
    return {"host": "This host", "answers": "Answer files"}.get(section, f"Node {section}")


def _anchor_name(section: str) -> str:
    return "s-" + escape(quote(section))


def _size_text(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.0f} KiB"
    return f"{size / 1024 / 1024:.1f} MiB"
