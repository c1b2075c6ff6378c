"""A recovery kit as a page to print: self-contained, without script, everything from outside escaped (chapter 17).

One sheet of A4 or Letter. It is read by somebody who has just lost everything, so it says first what to do.
"""

from __future__ import annotations

import io
from html import escape
from shlex import quote

from strongroom.freshness import moment
from strongroom.kit import MARK
from strongroom_protocol.keys import recovery_code
from strongroom_protocol.keys.kit import Kit

_CSP = "default-src 'none'; style-src 'unsafe-inline'"

_MONO = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'

_STYLE = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 190mm; padding: 9mm 6mm; background: #fff; color: #111;
  font: 10pt/1.38 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }}
header {{ display: flex; justify-content: space-between; align-items: baseline; border-bottom: 1.5pt solid #111; }}
h1 {{ font-size: 20pt; line-height: 1.2; margin: 0 0 1mm; }}
h2 {{ font-size: 11.5pt; margin: 3.6mm 0 1mm; }}
p, ol {{ margin: 0 0 1.2mm; }}
ol {{ padding-left: 5.5mm; }}
li {{ margin-bottom: 1.2mm; }}
code, pre, .code {{ font-family: {_MONO}; }}
pre {{ margin: .8mm 0 1.2mm; padding: .5mm 2.5mm; border-left: 2pt solid #999; white-space: pre-wrap;
  overflow-wrap: anywhere; }}
.warning {{ border: 1.5pt solid #111; padding: 2mm 4mm; font-weight: 600; margin: 3mm 0 4mm; }}
.key {{ display: flex; gap: 7mm; }}
.key > .facts {{ flex: 1; min-width: 0; }}
.key > .qr {{ width: 60mm; flex: none; text-align: center; font-size: 8.5pt; color: #444; }}
.qr svg {{ width: 60mm; height: 60mm; display: block; margin-bottom: 1mm; }}
.facts h2 {{ margin-top: 0; }}
.code {{ display: grid; grid-template-columns: repeat(4, auto); justify-content: start; gap: 1.5mm 5mm;
  font-size: 15pt; font-weight: 600; line-height: 1.3; margin-bottom: 3mm; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .6mm 0; overflow-wrap: anywhere; font-weight: 400; }}
th {{ color: #444; padding-right: 4mm; white-space: nowrap; }}
.strong {{ font-weight: 600; }}
.line {{ font-size: 7.5pt; line-height: 1.35; word-break: break-all; }}
@page {{ margin: 11mm 14mm; }}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 9.2pt; }}
  section, .key, li {{ break-inside: avoid; }}
}}
"""


def kit_page(kit: Kit) -> str:
    """The page, as the content of an HTML file. It holds the recovery code: a secret."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_CSP}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Recovery kit of {escape(kit.name)}</title>
<style>{_STYLE}</style>
</head>
<body>
{_top(kit)}
{_key(kit)}
{_steps(kit)}
{_care()}
<section>
<h2>The same as text</h2>
<p class="line">{MARK}{escape(kit.to_text())}</code></p>
</section>
</body>
</html>
"""


def _top(kit: Kit) -> str:
    warning = (
        "This sheet opens your encrypted message backup, together with your passphrase, which is not on it."
        if kit.two_secret
        else "This sheet opens your encrypted message backup, for anybody who has it. Lock it away like a passport."
    )
    return f"""<header><h1>Strongroom recovery kit</h1><span>made {_text(moment(kit.time))}</span></header>
<p class="warning">{warning}</p>"""


def _key(kit: Kit) -> str:
    groups = "".join(f"<span>{escape(group)}</span>" for group in recovery_code.render(kit.code).split("-"))
    anchor = kit.anchor
    rows = [
        ("Account", "strong", kit.name),
        ("Relay", "strong", kit.relay),
        ("Passphrase", "strong", "needed too" if kit.two_secret else ""),
        ("Newest state", "", f"{anchor.head_version}, seen {moment(anchor.time)}; nothing older is accepted"),
        ("Witness", "line", kit.witness or ""),
    ]
    table = "\n".join(
        f'<tr><th>{name}</th><td class="{kind}">{_text(said)}</td></tr>' for name, kind, said in rows if said
    )
    return f"""<div class="key">
<div class="facts">
<h2>Recovery code</h2>
<div class="code">{groups}</div>
<table>
{table}
</table>
</div>
<div class="qr">{_qr(kit.to_text().upper())}all of this sheet, to be scanned</div>
</div>"""


def _steps(kit: Kit) -> str:
    also = " It asks for your passphrase." if kit.two_secret else ""
    typed = f"strongroom login --recovery-code \\\n  --relay {quote(kit.relay)} \\\n  --account {quote(kit.name)}"
    typed += " \\\n  --passphrase-file FILE" if kit.two_secret else ""
    return f"""<section>
<h2>You lost your devices? Your messages are safe. Take your time</h2>
<ol>
<li>Take a computer that you trust, with Python 3.11 or later, and install Strongroom:
<pre>pip install strongroom</pre></li>
<li>Scan the square above with a phone that you trust, and save its text on the computer as <code>kit.txt</code>.
Is this page itself still there as a file? That will do as well.</li>
<li>Open the backup.{also} You see your devices; look at your messages, or take them all out:
<pre>strongroom login --kit kit.txt
strongroom chats
strongroom export my-messages</pre></li>
<li>Was a device stolen? Remove it, by the name in the list:
<pre>strongroom revoke NAME --recovery-code-file kit.txt</pre></li>
</ol>
<p>No scanner? Type the recovery code by hand. Only, nothing shows then whether the relay hides your newest
messages:</p>
<pre>{escape(typed)}</pre>
</section>"""


def _care() -> str:
    return """<section>
<h2>While all is well</h2>
<p>Keep this sheet on paper and away from your devices. No photo, no cloud, no e-mail; delete the file when it is
printed. Once a year scan it, and see whether it still opens your backup. This changes nothing:</p>
<pre>strongroom recovery-kit verify kit.txt</pre>
<p>You lost this sheet, or somebody saw it? On one of your devices, <code>strongroom recovery-kit</code> makes a new
one. This one opens nothing any more from then on.</p>
</section>"""


def _text(said: str) -> str:
    """What somebody chose, for a place between tags: inert, and unable to turn the text around it."""
    return f"<bdi>{escape(said)}</bdi>"


def _qr(text: str) -> str:
    import segno

    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(out, kind="svg", xmldecl=False, svgns=False, nl=False, omitsize=True, border=2, dark="#000")
    return out.getvalue().decode()
