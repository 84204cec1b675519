"""How a course stands, by its record: whom its stages have trained, whose rounds count."""

from aaa.scenario import Kind, Stage
from aaa.store.courses import Course, StepRow


def trained_by(course: Course, stage: Stage) -> str:
    """The agent that the stage has trained."""
    return str(_rows(course, stage, "train")[0].data["agent"])


def untrained(course: Course, stage: Stage) -> str | None:
    """Why the stage has trained nobody; `None`: it has."""
    rows = _rows(course, stage, "train")
    return str(rows[0].data["skipped"]) if rows and "skipped" in rows[0].data else None


def without_rows(course: Course, stage: Stage) -> list[str]:
    """The files that its command names, where none of them has a row: nothing can be learnt from them."""
    assert stage.train is not None
    words = " ".join(stage.train.command)
    written = _rows(course, stage, "data")
    files = written[0].data.get("files", ()) if written else ()
    named = [file for file in files if f"{{{file['kind']}}}" in words]
    return [file["file"] for file in named] if named and not any(f["kept"] for f in named) else []


def rounds_for(course: Course, stage: int, kind: Kind, *, accumulate: bool) -> list[str]:
    """The rounds whose verdicts count for a kind of the stage's data.

    `accumulate`: also those of earlier stages that wrote this kind.
    """
    upto = course.stages[: stage + 1]
    wrote = {
        row.stage
        for row in course.steps
        if row.kind == "data" and any(f["kind"] == kind for f in row.data.get("files", ()))
    }
    counted = {upto[-1]} | (wrote & set(upto) if accumulate else set())
    return [
        row.round
        for row in course.steps
        if row.kind == "play" and row.round and row.stage in counted
    ]


def _rows(course: Course, stage: Stage, kind: str) -> list[StepRow]:
    return [row for row in course.steps if row.kind == kind and row.stage == stage.name]
