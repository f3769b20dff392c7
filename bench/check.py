"""What a check costs and finds, beside other tools: examples/plainshop as it is, and with each of its sabotages.

Usage: python bench/check.py [all | SABOTAGE …]    such as ten042_order_read_by_id_alone; else the first of each place

Prints seconds per place and per guarantee of a check of plainshop, from its own report. Then Schemathesis, Semgrep and
Bandit on the same apps, each in an environment of its own that is made from the package registry and kept in the user's
cache; what cannot be installed or run is told as such. ``SEMGREP_RULES`` names directories of rules (separated by
colons), for machines that cannot reach Semgrep's registry.

false: what a tool reports on plainshop, which is sound. found: of the sabotages, those in which it reports something
that it does not report on plainshop, in the lines that the sabotage changed (Semgrep, Bandit) or on the route that it
broke (Schemathesis; on any route where the sabotage is not about one). holdtrue has found a sabotage when the guarantee
that it is made for is broken. Schemathesis gets the running app, its OpenAPI and an owner's token. One seed for all.
"""

import asyncio
import difflib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdtrue.contract.reader import read
from holdtrue.stage import Setting
from holdtrue.stage.cache import cache_directory

ROOT = Path(__file__).parents[1]
PLAINSHOP = ROOT / "examples" / "plainshop"
SABOTAGES = ROOT / "tests" / "sabotages" / "plainshop"
LEFT_OUT = shutil.ignore_patterns(".holdtrue", "__pycache__", "tests", ".pytest_cache")
SEED = 7
EXAMPLES = 10
"""Test cases per operation that Schemathesis makes."""
PATIENCE = 900
"""Seconds that a tool may take on one app."""
CHECK = (sys.executable, "-m", "holdtrue.cli.main", "check")

Report = tuple[str, ...]
"""What stays the same of one message of a tool between two runs."""


@dataclass
class Tool:
    """What became of one tool."""

    name: str
    seconds: float = 0.0
    """On plainshop as it is."""
    false: Counter[Report] = field(default_factory=Counter)
    found: dict[str, bool] = field(default_factory=dict)
    each: list[float] = field(default_factory=list)
    """Seconds per sabotage, where each has a run of its own."""
    missing: str = ""
    """Why it could not be tried."""


@dataclass(frozen=True)
class Sabotage:
    """An app with one fault."""

    name: str
    code: str
    app: Path
    lines: dict[str, set[int]]
    """What it changed: lines of the files as they are now."""


# -- apps -------------------------------------------------------------------------------------------------------------


def chosen(wanted: list[str]) -> list[Path]:
    """Patches by their names; else the first of each place, or all."""
    patches = sorted(SABOTAGES.glob("*.patch"))
    if wanted == ["all"]:
        return patches
    if not wanted:
        return list({re.split(r"\d", patch.name)[0]: patch for patch in reversed(patches)}.values())[::-1]
    unknown = set(wanted) - {patch.stem for patch in patches}
    assert not unknown, f"there is no sabotage {', '.join(sorted(unknown))} in {SABOTAGES}"
    return [patch for patch in patches if patch.stem in wanted]


def sabotaged(patch: Path, below: Path) -> Sabotage:
    """A copy of plainshop with a fault in it."""
    app = shutil.copytree(PLAINSHOP, below / patch.stem, ignore=LEFT_OUT)
    subprocess.run(["git", "apply", "-p1", str(patch)], cwd=app, check=True)
    code = re.match(r"[a-z]+\d+", patch.stem)
    assert code is not None, patch
    return Sabotage(patch.stem, code[0].upper(), app, dict(changed(app)))


def changed(app: Path) -> Iterator[tuple[str, set[int]]]:
    """Lines that differ from plainshop's; beside something that was taken out, the line before and the line after."""
    for path in sorted(app.rglob("*.py")):
        name = path.relative_to(app).as_posix()
        original = PLAINSHOP / name
        old = original.read_text(encoding="utf-8").splitlines() if original.exists() else []
        new = path.read_text(encoding="utf-8").splitlines()
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        lines: set[int] = set()
        for kind, _, _, first, last in matcher.get_opcodes():
            if kind != "equal":
                lines |= set(range(first + 1, last + 1)) if last > first else {first, first + 1}
        if lines:
            yield name, lines


# -- holdtrue ---------------------------------------------------------------------------------------------------------


def checked(app: Path, *options: str) -> tuple[dict[str, Any], float]:
    """The report of a check, and its seconds from outside."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        began = time.perf_counter()
        done = subprocess.run(
            [*CHECK, str(app), "--seed", str(SEED), f"--json={report}", *options],
            check=False,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
        if not report.exists():
            return {"results": [], "outcome": "refused", "why": done.stderr.strip()[-300:]}, seconds
        return json.loads(report.read_text(encoding="utf-8")), seconds


def hold(sound: Path, sabotages: Iterable[Sabotage]) -> tuple[Tool, dict[str, set[str]]]:
    """The check on all apps; and the routes that each sabotage broke, as far as it is about routes."""
    tool = Tool("holdtrue")
    report, tool.seconds = checked(sound)
    shown_costs(report, tool.seconds)
    tool.false.update((finding["code"], finding["where"]) for r in report["results"] for finding in r["findings"])
    routes: dict[str, set[str]] = {}
    for sabotage in sabotages:
        report, seconds = checked(sabotage.app, "--only", sabotage.code)
        tool.each.append(seconds)
        broken = [result for result in report["results"] if result["outcome"] == "broken"]
        if report["outcome"] == "refused":
            print(f"holdtrue on {sabotage.name}: {report['why']}", flush=True)
            continue
        tool.found[sabotage.name] = bool(broken)
        where = {finding["where"] for result in broken for finding in result["findings"]}
        routes[sabotage.name] = {each for each in where if re.match(r"[A-Z]+ /", each)}
    return tool, routes


def shown_costs(report: dict[str, Any], seconds: float) -> None:
    results = sorted(report["results"], key=lambda result: -result["seconds"])
    print(f"a check of plainshop: {report['outcome']}, {seconds:.1f} s; proofs run side by side on two stages\n")
    print(f"{'place':<12}{'seconds':>8}{'guarantees':>12}{'cases':>8}")
    for place in dict.fromkeys(result["place"] for result in results):
        inside = [result for result in results if result["place"] == place]
        print(
            f"{place:<12}{sum(r['seconds'] for r in inside):>8.1f}{len(inside):>12}{sum(r['tried'] for r in inside):>8}"
        )
    print(f"\n{'guarantee':<12}{'seconds':>8}{'cases':>8}  outcome")
    for result in results:
        if result["outcome"] != "not_promised":
            print(f"{result['code']:<12}{result['seconds']:>8.1f}{result['tried']:>8}  {result['outcome']}")
    print(flush=True)


# -- tools ------------------------------------------------------------------------------------------------------------


def installed(name: str, program: str) -> Path | str:
    """The program, from an environment of its own; or why there is none."""
    place = cache_directory() / "bench" / name
    if not (place / "bin" / program).exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name]
        done = subprocess.run(pip, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            return f"could not be installed: {done.stderr.strip().splitlines()[-1:]}"
    return place / "bin" / program


def ran(command: list[str], where: Path) -> tuple[str, str, float]:
    """Output, errors, seconds."""
    began = time.perf_counter()
    try:
        done = subprocess.run(command, check=False, cwd=where, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return "", f"did not end in {PATIENCE} s", time.perf_counter() - began
    return done.stdout, done.stderr, time.perf_counter() - began


def bandit(program: Path, where: Path) -> tuple[list[dict[str, Any]] | str, float]:
    output, errors, seconds = ran([str(program), "-q", "-r", ".", "-f", "json"], where)
    if not output.startswith("{"):
        return f"could not run: {errors.strip()[-200:]}", seconds
    return [
        {"rule": each["test_id"], "path": each["filename"].removeprefix("./"), "lines": each["line_range"]}
        for each in json.loads(output)["results"]
    ], seconds


def semgrep(program: Path, where: Path) -> tuple[list[dict[str, Any]] | str, float]:
    rules = os.environ.get("SEMGREP_RULES", "p/default:p/python").split(":")
    configs = [word for rule in rules for word in ("--config", rule)]
    options = ["--metrics", "off", "--disable-version-check", "--no-git-ignore", "--json", "--timeout", "60"]
    output, errors, seconds = ran([str(program), "scan", *options, *configs, "."], where)
    if not output.startswith("{") or (not (told := json.loads(output))["results"] and not told["paths"].get("scanned")):
        return f"could not run, its rules may be out of reach: {errors.strip()[-200:]}", seconds
    return [
        {
            "rule": each["check_id"].rsplit(".", 1)[-1],
            "path": each["path"].removeprefix("./"),
            "lines": list(range(each["start"]["line"], each["end"]["line"] + 1)),
        }
        for each in told["results"]
    ], seconds


def read_by(name: str, run: Any, sound: Path, sabotages: list[Sabotage], scratch: Path) -> Tool:
    """A tool that reads code: on plainshop, then at once on all files that the sabotages changed."""
    tool = Tool(name)
    program = installed(name, name)
    if isinstance(program, str):
        tool.missing = program
        return tool
    messages, tool.seconds = run(program, sound)
    if isinstance(messages, str):
        tool.missing = messages
        return tool
    tool.false.update(identity(message, sound, message["path"]) for message in messages)
    together = scratch / f"changed-{name}"
    for sabotage in sabotages:
        for file in sabotage.lines:
            (together / sabotage.name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sabotage.app / file, together / sabotage.name / file)
    messages, _ = run(program, together)
    if isinstance(messages, str):
        tool.missing = messages
        return tool
    for sabotage in sabotages:
        known = tool.false.copy()
        tool.found[sabotage.name] = False
        for message in messages:
            owner, _, file = message["path"].partition("/")
            if owner != sabotage.name:
                continue
            known.subtract([same := identity(message, sabotage.app, file)])
            if known[same] < 0 and sabotage.lines.get(file, set()) & set(message["lines"]):
                tool.found[sabotage.name] = True
    return tool


def identity(message: dict[str, Any], app: Path, file: str) -> Report:
    """Rule, file and the text of the lines, which outlives their numbers."""
    text = (app / file).read_text(encoding="utf-8").splitlines()
    return (message["rule"], file, "\n".join(text[line - 1].strip() for line in message["lines"] if line <= len(text)))


# -- Schemathesis -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(app: Path, logs: Path) -> Any:
    """The app on a stage: where it answers, and an owner's headers."""
    document = read(app).document
    async with Setting.prepare(
        document, app, seed=SEED, logs=logs, keep=False, python=None, tell=lambda _: None
    ) as setting:
        await setting.migrate()
        async with setting.stages(1) as (stage,):
            owner = stage.cast.who("owner", "a")
            yield stage.port(), stage.player.headers(owner, "a")


async def schemathesis_on(program: Path, app: Path, scratch: Path) -> tuple[set[Report] | str, float]:
    """(operation, kind) of every failure, and seconds without the app's start."""
    report = scratch / "schemathesis.ndjson"
    report.unlink(missing_ok=True)
    async with running(app, scratch / "logs") as (port, headers):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(str(program), "run", f"http://127.0.0.1:{port}/openapi.json", "--checks", "all", "--seed", str(SEED)),
            *(
                "--max-examples",
                str(EXAMPLES),
                "--no-shrink",
                "--report",
                "ndjson",
                "--report-ndjson-path",
                str(report),
            ),
            *(word for name, value in headers.items() for word in ("--header", f"{name}: {value}")),
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                output = (await process.communicate())[0].decode()
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"did not end in {PATIENCE} s", PATIENCE
        seconds = time.perf_counter() - began
    if not report.exists():
        return f"could not run: {output[-300:]}", seconds
    return set(failures(report)), seconds


def failures(report: Path) -> Iterator[Report]:
    for line in report.read_text(encoding="utf-8").splitlines():
        scenario = json.loads(line).get("ScenarioFinished")
        if scenario is None:
            continue
        for checks in scenario["recorder"].get("checks", {}).values():
            for check in checks:
                if check["status"] == "failure":
                    failure = check["failure_info"]["failure"]
                    yield failure["operation"], failure["type"]


async def rehearsed_by_schemathesis(
    sound: Path, sabotages: list[Sabotage], routes: dict[str, set[str]], scratch: Path
) -> Tool:
    """On plainshop twice, for what it reports by chance; then on each sabotage."""
    tool = Tool("schemathesis")
    program = installed("schemathesis", "schemathesis")
    if isinstance(program, str):
        tool.missing = program
        return tool
    for _ in range(2):
        reported, tool.seconds = await schemathesis_on(program, sound, scratch)
        if isinstance(reported, str):
            tool.missing = reported
            return tool
        tool.false.update(dict.fromkeys(reported - set(tool.false), 1))
    for sabotage in sabotages:
        reported, seconds = await schemathesis_on(program, sabotage.app, scratch)
        tool.each.append(seconds)
        if isinstance(reported, str):
            print(f"schemathesis on {sabotage.name}: {reported}", flush=True)
            continue
        new = reported - set(tool.false)
        about = routes.get(sabotage.name) or set()
        tool.found[sabotage.name] = any(not about or operation in about for operation, _ in new)
    return tool


# -- what came of it --------------------------------------------------------------------------------------------------


def told(tool: Tool) -> Tool:
    """Print what became of a tool."""
    if tool.missing:
        print(f"{tool.name:<14}{tool.missing}", flush=True)
        return tool
    found = f"{sum(tool.found.values())}/{len(tool.found)}"  # of those on which it could be tried
    each = f"{statistics.median(tool.each):.1f} s" if tool.each else "all at once"
    print(f"{tool.name:<14}{tool.seconds:>8.1f} s{tool.false.total():>7}{found:>9}{each:>21}", flush=True)
    return tool


def shown(tools: list[Tool], sabotages: list[Sabotage]) -> None:
    """Who found which."""
    tools = [tool for tool in tools if not tool.missing]
    print(f"\n{'sabotage':<52}" + "".join(f"{tool.name:>14}" for tool in tools))
    for sabotage in sabotages:
        marks = {True: "found", False: "–", None: "no answer"}
        words = (marks[tool.found.get(sabotage.name)] for tool in tools)
        print(f"{sabotage.name:<52}" + "".join(f"{word:>14}" for word in words))


def main() -> None:
    patches = chosen(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="holdtrue-bench-") as directory:
        scratch = Path(directory)
        sound = shutil.copytree(PLAINSHOP, scratch / "plainshop", ignore=LEFT_OUT)
        sabotages = [sabotaged(patch, scratch / "sabotages") for patch in patches]
        holdtrue, routes = hold(sound, sabotages)
        print(f"{'tool':<14}{'plainshop':>10}{'false':>7}{'found':>9}{'median per sabotage':>21}")
        tools = [
            told(holdtrue),
            told(read_by("bandit", bandit, sound, sabotages, scratch)),
            told(read_by("semgrep", semgrep, sound, sabotages, scratch)),
            told(asyncio.run(rehearsed_by_schemathesis(sound, sabotages, routes, scratch))),
        ]
        shown(tools, sabotages)


if __name__ == "__main__":
    main()
