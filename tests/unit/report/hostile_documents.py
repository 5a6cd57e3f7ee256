"""A document every string of which is an attack on whoever prints it."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from documents import gate, run_info, value
from pydantic import BaseModel

from pytest_lossy.results.document import (
    CaseRow,
    CodecInfo,
    Curve,
    CurvePoint,
    DataInfo,
    Environment,
    MetricInfo,
    ModelInfo,
    Resilience,
    ResultsDocument,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "\"onmouseover='alert(2)' x=\"",
    "</title></style></script></desc></svg><img src=x onerror=alert(3)>",
    "javascript:alert(4)",
    "a | b `c` *d* [e](https://evil.example/) @everyone #1 ![f](https://evil.example/i.png)\n# g\r\n<!-- h",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m \u202eback",
    "; rm -rf / $(id) 'q",
    "--> ]]> &amp; &#x3c;b&#x3e;",
)


def filled(kind: Any, text: str, number: int = 0) -> Any:
    """A value of any type of the schema: each free string is ``text``, each optional part is there.

    New fields of the schema are attacked without anybody having to remember them.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return filled(arguments[0], text, number)
    if origin in (Union, UnionType):
        return filled(next(part for part in arguments if part is not type(None)), text, number)
    if origin is Literal:
        return arguments[number % len(arguments)]
    if origin is list:
        return [filled(arguments[0], text, number)]
    if origin is tuple:
        return tuple(filled(part, text, number) for part in arguments)
    if origin is dict:
        keys = get_args(arguments[0]) if get_origin(arguments[0]) is Literal else [text]
        return {key: filled(arguments[1], text, number) for key in keys}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind(**{name: filled(field.annotation, text, number) for name, field in kind.model_fields.items()})
    if kind is str or kind is Any:
        return text
    return {bool: True, int: 3, float: 0.25}[kind]


def hostile_curve(text: str, number: int, point: CurvePoint) -> Curve:
    """A curve with every finding."""
    curve: Curve = filled(Curve, text, number)
    band = {"band_low": 0.7, "band_high": 1.0, "isotonic": 0.8}
    return curve.model_copy(update={"points": [point.model_copy(update=band)], "clean": value(0.6, 1.0)})


def hostile_findings() -> dict[str, Any]:
    """What analysis finds beyond curves, once per attack; models and codecs are those of the hostile document."""
    texts = [f"{attack} {number}" for number, attack in enumerate(HOSTILE)]
    known = ("run", "environment", "models", "codecs", "cases", "curves", "schema_version")
    found: dict[str, Any] = {}
    for name, entry in ResultsDocument.model_fields.items():
        if name in known:
            continue
        whole = [filled(entry.annotation, text, number) for number, text in enumerate(texts)]
        found[name] = [part for parts in whole for part in parts] if isinstance(whole[0], list) else whole[0]
    resilience = [filled(Resilience, text) for text in texts]
    found["resilience"] = Resilience(
        **{
            name: [part for one in resilience for part in getattr(one, name)]
            for name in Resilience.model_fields
            if isinstance(getattr(resilience[0], name), list)
        }
    )
    return found


def hostile_document() -> ResultsDocument:
    """Every string of the schema that is not a closed choice is an attack; each case takes the next one."""
    joined = " ".join(HOSTILE)
    rows, curves, models, codecs = [], [], [], []
    for number, attack in enumerate(HOSTILE):
        text = f"{attack} {number}"
        metrics = {
            text: value(0.6, 0.8),
            f"{text}[{text}]".replace("[e]", "(e)"): value(0.5, 0.7),
            "m[x]": value(0.5, 0.7),
        }
        bad = gate(metric=text, file=text, reason=joined)
        rows.append(
            CaseRow(
                id=f"{text}::id",
                model=text,
                task=text,
                codec=text,
                codec_name=text,
                parameter=text,
                level=number,
                verdict="failed" if number % 2 else "error",
                outcome="failed",
                primary=text,
                metrics=metrics,
                gates=[bad, bad.model_copy(update={"verdict": "inconclusive"})],
                error=joined,
                notes=[text, joined],
                fingerprint=text,
                worker=text,
                bpp=0.5,
            )
        )
        point = CurvePoint(level=number, case=rows[-1].id, verdict="failed", metric=metrics[text], bpp=0.5)
        curves.append(hostile_curve(text, number, point))
        models.append(
            ModelInfo(
                name=text,
                spec=text,
                task=text,
                architecture=text,
                tags=[text],
                primary=text,
                metrics=[MetricInfo(name=text, title=text, higher_is_better=True, unit=text, description=text)],
                details={text: text, "nested": {text: [text, None, 1.5]}, "list": [text], "flag": True},
                data=DataInfo(name=text, fingerprint=text, samples=1, classes=[text], sources={text: 1}),
                error=text if number % 3 == 0 else None,
            )
        )
        codecs.append(
            CodecInfo(
                label=text,
                name=text,
                parameter=text,
                higher_is_more_compressed=True,
                minimum=0,
                maximum=9,
                fingerprint=text,
            )
        )
    return ResultsDocument(
        run=run_info(
            rows,
            started=joined,
            command=joined,
            thresholds=joined,
            warnings=list(HOSTILE),
            plugin_version=joined,
        ),
        environment=Environment(
            python=joined,
            platform=joined,
            machine=joined,
            cpu=joined,
            instruction_set=joined,
            packages={text: text for text in HOSTILE},
            devices=list(HOSTILE),
        ),
        models=models,
        codecs=codecs,
        cases=rows,
        curves=curves,
        **hostile_findings(),
    )
