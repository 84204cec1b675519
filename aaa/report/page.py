"""A document as one HTML page that needs nothing else and runs nothing.

Jinja escapes every string; a policy in the page forbids scripts, requests and styles but its own, and
pictures are images, in which no script runs. So what a model said stays words, whatever it says.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from aaa.clean import clean, one_line
from aaa.report.document import Document

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #b8c4d0 }
h3 { margin-top: 1.8rem }
div.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; margin: 1rem 0 }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid #dde4ea; vertical-align: top;
  unicode-bidi: isolate }
th { color: #1f4e79 }
img { max-width: 100%; height: auto }
p.label { margin: .8rem 0 .2rem; font-size: .9rem; color: #445; unicode-bidi: isolate }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f6f8; padding: .6rem .8rem; margin: 0;
  border-left: 3px solid #b8c4d0; unicode-bidi: isolate }
"""


def page(of: Document, pictures: Mapping[str, bytes]) -> str:
    """The page. `pictures`: name -> SVG."""
    template = files("aaa.report").joinpath("page.html").read_text("utf-8")
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"line": one_line, "said": clean}
    data = {
        name: "data:image/svg+xml;base64," + base64.b64encode(drawn).decode("ascii")
        for name, drawn in pictures.items()
    }
    return made.from_string(template).render(of=of, pictures=data, style=STYLE, policy=policy())


def policy() -> str:
    """What the page may do: show its own style and its own pictures."""
    hashed = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    allowed = f"img-src data:; style-src 'sha256-{hashed}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
