"""`aaa courses …`, `aaa generations …`, `aaa train`: scenarios with stages, and the students they train."""

from pathlib import Path
from typing import Any

import click

from aaa.cli._shared import as_json, overrides_of, run_to_end, settings


@click.group()
def courses() -> None:
    """Scenarios with stages, step by step."""


@courses.command("ls")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def courses_ls(limit: int, as_json: bool) -> None:
    """List courses, newest first."""
    from aaa.commands.courses import ls

    run_to_end(ls(settings(), as_json, limit))


@courses.command("show")
@click.argument("id")
@as_json
def courses_show(id: str, as_json: bool) -> None:
    """Show one course and what each of its steps found."""
    from aaa.commands.courses import show_course

    run_to_end(show_course(settings(), id, as_json))


@courses.command("pause")
@click.argument("id")
def courses_pause(id: str) -> None:
    """Begin nothing more; calls in flight come home, a training goes on to its end."""
    from aaa.commands.courses import move

    run_to_end(move(settings(), id, "pause"))


@courses.command("resume")
@click.argument("id")
def courses_resume(id: str) -> None:
    """Go on with a paused course."""
    from aaa.commands.courses import move

    run_to_end(move(settings(), id, "resume"))


@courses.command("cancel")
@click.argument("id")
def courses_cancel(id: str) -> None:
    """End a course for good; a training is stopped, what is recorded stays."""
    from aaa.commands.courses import move

    run_to_end(move(settings(), id, "cancel"))


@courses.command("set")
@click.argument("id")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
def courses_set(id: str, assignments: tuple[str, ...]) -> None:
    """Change concurrency, budget_usd, budget_tokens or budget_calls, of this round and later ones."""
    from aaa.commands.courses import retune

    run_to_end(retune(settings(), id, assignments))


@click.group()
def generations() -> None:
    """Students that were trained, generation by generation."""


@generations.command("ls")
@click.argument("student", required=False)
@as_json
def generations_ls(student: str | None, as_json: bool) -> None:
    """List them with what their gates found."""
    from aaa.commands.courses import generations as ls

    run_to_end(ls(settings(), student, as_json))


@generations.command("register")
@click.argument("parent")
@click.option(
    "--model", required=True, help="How it is reached, as in a card: openai/my-student-g1."
)
@click.option("--api-base", metavar="URL", help="Where, if not where its parent is.")
@click.option("--course", metavar="COURSE", help="The course that teaches it from now on.")
def generations_register(parent: str, model: str, api_base: str | None, course: str | None) -> None:
    """Make what was trained from PARENT its next generation: a card, and a place in its line."""
    from aaa.commands.courses import register

    told: dict[str, Any] = {"model": model} | ({} if api_base is None else {"api_base": api_base})
    run_to_end(register(settings(), parent, told, course))


@generations.command("rollback")
@click.argument("course")
@click.argument("agent")
def generations_rollback(course: str, agent: str) -> None:
    """Have COURSE teach AGENT, another generation of its student, from its next stage on."""
    from aaa.commands.courses import rollback

    run_to_end(rollback(settings(), course, agent))


@click.command()
@click.argument("data", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--method",
    type=click.Choice(["sft", "dpo", "dpo+sft"]),
    required=True,
    help="What the rows are for: `messages`, or `prompt`, `chosen` and `rejected`.",
)
@click.option("--model", required=True, help="What is trained further, as a card has it: local/…")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder for it.")
@click.option("--recipe", type=click.Path(path_type=Path), help="YAML: steps, rates, LoRA, seed.")
@click.option("--set", "settings_", multiple=True, metavar="KEY=VALUE", help="One of its keys.")
def train(
    data: Path,
    method: str,
    model: str,
    output: Path,
    recipe: Path | None,
    settings_: tuple[str, ...],
) -> None:
    """Train a student's next generation on DATA (needs the extra `train`); goes on where it was killed."""
    from aaa.commands.train import run

    changes = overrides_of(settings_)
    run_to_end(run(settings(), method, data, model, output.resolve(), recipe, changes))
