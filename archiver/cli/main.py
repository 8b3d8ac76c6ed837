"""The commands and their options. Bodies are loaded when they run, so that `--help` is quick."""

from __future__ import annotations

from typing import Any

import click

import archiver
from archiver.cli.options import common_options

STATES = (
    "queued", "waiting", "archived", "retry", "failed", "gone", "refused", "forgotten",
)  # fmt: skip
"""As `model.State` has them: importing it would take a tenth of the time of `--help`."""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _terminal() -> Any:
    from archiver.cli.context import Terminal

    return Terminal.of(click.get_current_context())


@click.group(context_settings=SETTINGS)
@click.version_option(archiver.__version__, message="archiver %(version)s")
@common_options
def cli() -> None:
    """Keep what you generated: archive tasks of video, image and music APIs.

    Every file is fetched, checked and described by a manifest beside it.
    """


@cli.command()
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("-i", "--input", "input_file", metavar="FILE", help="Read tasks from FILE or -.")
@click.option("--wait", metavar="TIME", help="Poll unfinished tasks for so long, e.g. 10m.")
@click.option("--require-unwatermarked", is_flag=True, help="Archive no marked copy.")
@click.option("--again", is_flag=True, help="Fetch archived tasks anew.")
@common_options
def archive(
    tasks: tuple[str, ...],
    input_file: str | None,
    wait: str | None,
    require_unwatermarked: bool,
    again: bool,
) -> int:
    """Archive these tasks now: `id` or `source:id`."""
    from archiver.cli.work import archive_command

    return archive_command(
        _terminal(),
        tasks,
        input_file=input_file,
        wait=wait,
        unwatermarked_only=require_unwatermarked,
        again=again,
    )


@cli.command()
@click.option("--every", metavar="TIME", help="Stay, and run again each e.g. 5m.")
@common_options
def run(every: str | None) -> int:
    """Do everything the configuration names: what cron starts every night."""
    from archiver.cli.nightly import run_command

    return run_command(_terminal(), every=every)


@cli.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@common_options
def ingest(files: tuple[str, ...]) -> int:
    """Archive straight from saved or posted answers; - is standard input."""
    from archiver.cli.nightly import ingest_command

    return ingest_command(_terminal(), files)


@cli.command()
@click.option("--runs", is_flag=True, help="The last runs.")
@common_options
def status(runs: bool) -> int:
    """Show counts by state, bytes, ages, and what needs a person."""
    from archiver.cli.look import status_command

    return status_command(_terminal(), runs=runs)


@cli.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only these.")
@click.option("--since", metavar="DATE", help="Created since 2024-10-15, or within e.g. 7d.")
@click.option("--search", metavar="TEXT", help="Only prompts with TEXT in them.")
@common_options
def list_tasks(state: str | None, since: str | None, search: str | None) -> int:
    """List the catalog's rows."""
    from archiver.cli.look import list_command

    return list_command(_terminal(), state=state, since=since, search=search)


@cli.command()
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@common_options
def show(tasks: tuple[str, ...]) -> int:
    """Show one task: its manifest and its history."""
    from archiver.cli.look import show_command

    return show_command(_terminal(), tasks)


@cli.command()
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--full", is_flag=True, help="Digest every file.")
@click.option("--decode", is_flag=True, help="Decode every frame too.")
@click.option("--share", metavar="SHARE", help="Only e.g. 5%, longest unchecked first.")
@click.option("--repair", is_flag=True, help="Fetch damaged files again, if the same can be had.")
@common_options
def verify(
    tasks: tuple[str, ...], full: bool, decode: bool, share: str | None, repair: bool
) -> int:
    """Compare what is stored with the manifests."""
    from archiver.cli.care import verify_command

    return verify_command(_terminal(), tasks, full=full, decode=decode, share=share, repair=repair)


@cli.command()
@common_options
def reindex() -> int:
    """Rebuild the catalog from the store."""
    from archiver.cli.care import reindex_command

    return reindex_command(_terminal())


@cli.command()
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("-i", "--input", "input_file", metavar="FILE", help="Read tasks from FILE or -.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the archive.")
@click.option("--delete", is_flag=True, help="Delete the stored files too.")
@click.option("--undo", is_flag=True, help="Take it back.")
@common_options
def forget(
    tasks: tuple[str, ...],
    input_file: str | None,
    reason: str | None,
    delete: bool,
    undo: bool,
) -> int:
    """Never fetch these tasks again."""
    from archiver.cli.care import forget_command

    return forget_command(
        _terminal(), tasks, input_file=input_file, reason=reason, delete=delete, undo=undo
    )


@cli.group()
@common_options
def config() -> None:
    """Check or show the configuration."""


@config.command("check")
@common_options
def config_check() -> int:
    """Validate the configuration."""
    from archiver.cli.setup import config_check_command

    return config_check_command(_terminal())


@config.command("show")
@common_options
def config_show() -> int:
    """Print the merged configuration, secrets shown as ***."""
    from archiver.cli.setup import config_show_command

    return config_show_command(_terminal())


@cli.command()
@common_options
def providers() -> int:
    """List the providers: endpoints, life of links, and how often to run."""
    from archiver.cli.providers import providers_command

    return providers_command(_terminal())


@cli.command()
@click.option("--leak-test", is_flag=True, help="Only look whether a secret could get out.")
@common_options
def doctor(leak_test: bool) -> int:
    """Try everything a run needs: key, API, store, space, clock."""
    if leak_test:
        from archiver.cli.leaktest import leak_test_command

        return leak_test_command(_terminal())
    from archiver.cli.setup import doctor_command

    return doctor_command(_terminal())


@cli.group()
@common_options
def install() -> None:
    """Print, or with --write install, what runs archiver regularly."""


@install.command("cron")
@click.option("--every", metavar="TIME", help="How often; by default what the links' life asks.")
@click.option("--write", is_flag=True, help="Put it into the crontab.")
@common_options
def install_cron(every: str | None, write: bool) -> int:
    """Print the crontab line for this configuration."""
    from archiver.cli.install import install_command

    return install_command(_terminal(), "cron", every=every, write=write)


@install.command("systemd")
@click.option("--every", metavar="TIME", help="How often; by default what the links' life asks.")
@click.option("--write", is_flag=True, help="Install and enable the units.")
@common_options
def install_systemd(every: str | None, write: bool) -> int:
    """Print a hardened service and its timer for this configuration."""
    from archiver.cli.install import install_command

    return install_command(_terminal(), "systemd", every=every, write=write)


@cli.command()
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(file_okay=False))
@click.option("--all", "everything", is_flag=True, help="Tasks of every provider, in one table.")
@common_options
def demo(folder: str | None, everything: bool) -> int:
    """Archive the tasks of an embedded gateway into DIR and say what happened."""
    from archiver.cli.demo import demo_command

    return demo_command(_terminal(), folder, everything=everything)
