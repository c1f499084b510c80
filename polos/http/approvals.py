"""The page on which a person answers a suspend: plain HTML, reached by a signed link. GET shows, only POST answers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from polos.clock import TimeOrderedIds
from polos.core import codec, jsontext
from polos.core.answers import answer_of
from polos.core.forms import FormField, fields_of, shown_of
from polos.core.model import Execution, Kind, PendingWait, Stored
from polos.core.status import TERMINAL
from polos.errors import AlreadyResumed, ExecutionEnded, PolosError, UnserializableValue
from polos.http.routes import Engine

_ids = TimeOrderedIds()
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:36rem;padding:0 1rem}
h1{font-size:1.3rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem}
dt{opacity:.7}
dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
label{display:block;margin:.8rem 0 .2rem}
input,textarea,select{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}
input[type=checkbox]{width:auto}
button{font:inherit;padding:.5rem 1.2rem;margin:1rem .6rem 0 0;cursor:pointer}
.error{color:#c00}
.small{opacity:.7;font-size:.85rem}
"""


def approval_routes(engine: Engine) -> list[BaseRoute]:
    """Returns the routes of the page."""

    async def page(request: Request) -> HTMLResponse:
        return await _page(engine, request)

    # The step is the rest of the path: it may hold anything, slashes included.
    return [Route("/approve/{execution}/{step:path}", page, methods=["GET", "POST"])]


async def _page(engine: Engine, request: Request) -> HTMLResponse:
    step = request.path_params["step"]
    found = await _execution(engine, request, step)
    if found is None:
        return _said(403, "This link is not valid", "It may have expired, or be incomplete. Ask for a new one.")
    wait = next((w for w in await engine.store.waits(found.id) if w.key == step and w.kind is Kind.SUSPEND), None)
    if wait is None:
        done = (
            "The workflow has ended." if found.status in TERMINAL else "It has its answer, or does not wait any more."
        )
        return _said(410, "Nothing to answer here", done)
    fields = fields_of(wait.request)
    if request.method != "POST":  # HEAD too, which starlette lets in with GET: previews of links send it
        return _form(found, wait, fields, "")
    body = (await request.body()).decode("utf-8", "replace")
    try:
        form = parse_qs(body, keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return _said(422, "That is not this form", "It has more fields than any form here. Nothing was changed.")
    typed = {name: values[-1] for name, values in form.items()}
    answer, mistakes = answer_of(fields, typed)
    if not mistakes:
        try:
            return await _answer(engine, found, step, codec.encode(answer))
        except UnserializableValue as error:
            mistakes.append(error.message)
    return _form(found, wait, fields, "; ".join(mistakes), typed, status=422)


async def _execution(engine: Engine, request: Request, step: str) -> Execution | None:
    """Returns the execution that a valid link is about."""
    until, signature = request.query_params.get("until", ""), request.query_params.get("by", "")
    if not (until.isascii() and until.isdecimal() and len(until) < 12):
        return None
    found = await engine.store.get(request.path_params["execution"])
    if found is None or not engine.links.is_valid(found, step, int(until), signature, engine.clock.now()):
        return None
    return found


async def _answer(engine: Engine, found: Execution, step: str, answer: Stored) -> HTMLResponse:
    try:
        await engine.store.resume(found.id, step, answer, _ids.new("ans"))
    except (AlreadyResumed, ExecutionEnded):
        return _said(410, "Somebody was faster", "This has its answer already. Nothing was changed.")
    except PolosError as error:
        return _said(503, "It could not be stored", error.message)
    return _said(200, "Thank you", "Your answer was stored; the workflow goes on. You can close this page.")


def _form(
    found: Execution, wait: PendingWait, fields: list[FormField], mistake: str, typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:  # fmt: skip
    data = jsontext.loads(wait.request) if wait.request else None
    shown = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in shown_of(data))
    inputs = "".join(_input(field, field.default if typed is None else typed.get(field.name, "")) for field in fields)
    buttons = (
        '<button type="submit">Send</button>' if fields else
        '<button type="submit" name="approved" value="true">Approve</button>'
        '<button type="submit" name="approved" value="false">Reject</button>'
    )  # fmt: skip
    error = f'<p class="error" role="alert">{escape(mistake)}</p>' if mistake else ""
    return _html(
        status, f"{wait.key} asks",
        f"<h1>{escape(wait.key)} asks</h1><dl>{shown}</dl>{error}"
        f'<form method="post">{inputs}{buttons}</form>'
        f'<p class="small">{escape(found.workflow_id)}, execution {found.number}. The first answer counts.</p>',
    )  # fmt: skip


def _input(field: FormField, begin: str) -> str:
    name, label, value = escape(field.name), escape(field.label), escape(begin)
    required = " required" if field.is_required and field.kind != "boolean" else ""
    if field.options:
        blank = '<option value=""></option>' if not field.is_required and not field.default else ""
        options = blank + "".join(
            f'<option value="{escape(one)}"{" selected" if one == begin else ""}>{escape(one)}</option>'
            for one in field.options
        )
        return f'<label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">{options}</select>'
    if field.kind == "boolean" and not field.is_required and not field.default:
        choices = "".join(f'<option value="{one}"{" selected" if one == begin else ""}>{word}</option>'
                          for one, word in (("", ""), ("true", "yes"), ("false", "no")))  # fmt: skip
        return f'<label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">{choices}</select>'
    if field.kind == "boolean":
        return f'<label><input type="checkbox" name="{name}" value="true"{" checked" if begin == "true" else ""}> {label}</label>'
    if field.kind == "json":
        area = f'<textarea id="f-{name}" name="{name}" rows="4"{required}>{value}</textarea>'
        return f'<label for="f-{name}">{label} (JSON)</label>{area}'
    rules = dict(field.rules)
    kind = 'type="text"'
    if field.kind in ("number", "integer"):
        kind = f'type="number" step="{"1" if field.kind == "integer" else "any"}"'
    limits = (("minimum", "min"), ("maximum", "max"), ("minLength", "minlength"), ("maxLength", "maxlength"))
    kind += "".join(f' {word}="{rules[rule]}"' for rule, word in limits if rule in rules)
    return f'<label for="f-{name}">{label}</label><input id="f-{name}" name="{name}" value="{value}" {kind}{required}>'


def _said(status: int, head: str, text: str) -> HTMLResponse:
    return _html(status, head, f"<h1>{escape(head)}</h1><p>{escape(text)}</p>")


def _html(status: int, title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>",
        status_code=status,
    )  # fmt: skip
