"""The command line, as people, scripts and agents use it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from holdtrue import __version__
from holdtrue.check.events import Event, StageProgress
from holdtrue.cli.main import main, with_json_target
from holdtrue.contract.errors import HoldtrueError, UsageError
from holdtrue.contract.report import Report
from holdtrue.contract.words import Verdict

from . import fakes


class Shell:
    """Runs the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *args: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        self._monkeypatch.setattr(sys, "argv", ["holdtrue", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self._capsys.readouterr()
        return int(caught.value.code or 0), out, err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize(("outcome", "code"), [(Verdict.HELD, 0), (Verdict.BROKEN, 1), (Verdict.UNDECIDED, 3)])
def test_the_verdict_is_the_exit_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, outcome: Verdict, code: int
) -> None:
    fakes.install(monkeypatch, fakes.ends_with(outcome))
    exit_code, out, err = shell("check")
    assert exit_code == code
    assert f"\n{outcome.upper()}: " in out
    assert err == ""


def test_options_reach_the_check(shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    fakes.install(monkeypatch, fakes.ends_with(Verdict.HELD, asked))
    args = "--only PAY009,TEN003 --only AUD001 --place payments --case *twice* --seed 3 --stages 4 --keep --python py"
    assert shell("check", str(tmp_path), *args.split())[0] == 0
    assert asked == [
        fakes.Options(
            directory=tmp_path,
            only=("PAY009", "TEN003", "AUD001"),
            places=("payments",),
            case="*twice*",
            seed=3,
            stages=4,
            keep=True,
            python="py",
        )
    ]


def test_json_on_standard_output_is_alone_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch, fakes.ends_with(Verdict.BROKEN))
    code, out, err = shell("check", "--json")
    assert code == 1
    assert Report.model_validate(json.loads(out)) == fakes.report(Verdict.BROKEN)
    assert "Holding Plain shop" in err
    assert "BROKEN: " in err


def test_json_into_a_file_leaves_the_text_on_standard_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes.install(monkeypatch, fakes.ends_with(Verdict.HELD))
    code, out, _ = shell("check", "--json", str(tmp_path / "report.json"))
    assert code == 0
    assert "HELD: " in out
    assert json.loads((tmp_path / "report.json").read_text())["outcome"] == "held"


@pytest.mark.parametrize("option", ["--json", "--sarif", "--junit"])
def test_a_report_into_a_directory_that_is_missing_is_refused_before_the_check(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    fakes.install(monkeypatch, fakes.ends_with(Verdict.HELD))
    code, out, err = shell("check", f"{option}={tmp_path / 'no' / 'report'}")
    assert code == 2
    assert "there is no directory" in err
    assert "Holding" not in out


def test_every_report_that_is_asked_for_is_written(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes.install(monkeypatch, fakes.ends_with(Verdict.HELD))
    files = {option: tmp_path / f"report.{option}" for option in ("json", "sarif", "junit")}
    assert shell("check", *(f"--{option}={file}" for option, file in files.items()))[0] == 0
    assert json.loads(files["json"].read_text())["outcome"] == "held"
    assert json.loads(files["sarif"].read_text())["version"] == "2.1.0"
    assert "<testsuites" in files["junit"].read_text()


def test_a_bare_json_does_not_swallow_what_follows_it(tmp_path: Path) -> None:
    assert with_json_target(["--json"]) == ["--json=-"]
    assert with_json_target(["--json", "--keep"]) == ["--json=-", "--keep"]
    assert with_json_target(["--json", str(tmp_path)]) == ["--json=-", str(tmp_path)]
    assert with_json_target(["--json", "report.json", "."]) == ["--json", "report.json", "."]
    assert with_json_target(["--", "--json"]) == ["--", "--json"]


def fails_with(error: BaseException) -> Any:
    async def check(options: Any) -> AsyncIterator[Event]:
        yield StageProgress(doing="installing")
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UsageError("there is no guarantee 'PAY999'", do="did you mean PAY009?"), 2, "holdtrue: there is no guarantee"),
        (HoldtrueError("the app does not start", where="web", do="look"), 3, "holdtrue: web: the app does not start\n"),
        (ExceptionGroup("x", [ExceptionGroup("y", [HoldtrueError("both fell")])]), 3, "holdtrue: both fell"),
    ],
)
def test_errors_are_words_without_a_traceback(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    fakes.install(monkeypatch, fails_with(error))
    exit_code, out, err = shell("check")
    assert exit_code == code
    assert words in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("error", [KeyError("x"), ExceptionGroup("x", [KeyError("x")])])
def test_a_fault_of_our_own_never_looks_like_a_verdict(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fakes.install(monkeypatch, fails_with(error))
    exit_code, _, err = shell("check")
    assert exit_code == 3
    assert "Traceback" in err
    assert "nothing was decided" in err


def test_a_check_without_a_report_is_no_verdict(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(options: Any) -> AsyncIterator[Event]:
        yield StageProgress(doing="installing")

    fakes.install(monkeypatch, check)
    exit_code, _, err = shell("check")
    assert exit_code == 3
    assert "without a report" in err


def test_problems_of_a_document_start_at_the_first_column(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from holdtrue.contract.reader import read

    async def check(options: Any) -> AsyncIterator[Event]:
        read(options.directory)
        yield StageProgress(doing="never")

    fakes.install(monkeypatch, check)
    exit_code, _, err = shell("check", str(tmp_path))
    assert exit_code == 2
    assert err.startswith(f"{tmp_path / 'holdtrue.toml'}:1:1: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_cleans_up_and_decides_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    cleaned: list[str] = []

    async def check(options: Any) -> AsyncIterator[Event]:
        try:
            yield StageProgress(doing="installing")
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("the app")

    fakes.install(monkeypatch, check)
    exit_code, _, err = shell("check")
    assert exit_code == 3
    assert err == "holdtrue: interrupted; nothing was decided\n"
    assert cleaned == ["the app"]


def test_a_reader_that_goes_away_gets_no_verdict(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch, fails_with(BrokenPipeError()))
    kept = os.dup(1)
    monkeypatch.setattr(sys, "stdout", os.fdopen(os.dup(1), "w"))
    try:
        with sys.stdout:
            exit_code, _, err = shell("check")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert exit_code == 3
    assert "standard output was closed" in err


class NotInstalled(MetaPathFinder):
    """Imports of the engine fail as they do without the extra."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "holdtrue.check.run":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")


def test_a_missing_package_names_the_extra_to_install(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "holdtrue.check.run", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    code, out, err = shell("check")
    assert (code, out) == (2, "")
    assert err == (
        "holdtrue: a package that this command needs cannot be imported: No module named 'psycopg'\n"
        '  pip install "holdtrue[check]"\n'
    )


def test_a_fault_in_our_own_imports_is_not_taken_for_a_missing_extra(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "holdtrue.check.run", ModuleType("holdtrue.check.run"))
    exit_code, _, err = shell("check")
    assert exit_code == 3
    assert "cannot import name" in err
    assert "pip install" not in err


def test_help_needs_none_of_the_heavy_packages() -> None:
    program = (
        "import sys\nfrom holdtrue.cli.main import main\nsys.argv = ['holdtrue', '--help']\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'pydantic', 'rich', 'psycopg', 'httpx', 'asyncio', 'tomllib'}\n"
        "    print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", [(), ("check",), ("explain",), ("schema",)])
def test_every_help_has_an_example(shell: Shell, command: tuple[str, ...]) -> None:
    code, out, _ = shell(*command, "--help")
    assert code == 0
    assert f"\n    holdtrue {' '.join(command)}".rstrip() in out


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell("--version") == (0, f"holdtrue {__version__}\n", "")


@pytest.mark.parametrize("args", [("chek",), ("check", "--onyl", "x"), ("schema", "reprt"), ("check", "--seed", "x")])
def test_wrong_usage_is_exit_code_2(shell: Shell, args: tuple[str, ...]) -> None:
    assert shell(*args)[0] == 2


@pytest.mark.parametrize(("which", "title"), [("document", "holdtrue.toml"), ("report", "report")])
def test_the_schemas_are_printed_as_json(shell: Shell, which: str, title: str) -> None:
    code, out, _ = shell("schema", which)
    assert code == 0
    assert title in json.loads(out)["title"]


def test_a_guarantee_is_explained_in_the_words_of_its_docstring(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install_guarantees(monkeypatch)
    code, out, _ = shell("explain", "pay009")
    assert code == 0
    assert out == (
        "PAY009  A webhook is applied twice\n"
        "payments, critical\n"
        "\n"
        "Promise: A webhook changes the books once, however often it comes.\n"
        "\n"
        "What production does\n"
        "--------------------\n"
        "Stripe delivers every event at least once.\n"
        "\n"
        "Wrong\n"
        "-----\n"
        "::\n"
        "\n"
        "    if not seen(event): apply(event)\n"
        "\n"
        "Try it: holdtrue check --only PAY009\n"
    )


def test_all_guarantees_are_listed_by_place(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install_guarantees(monkeypatch)
    code, out, _ = shell("explain", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line] == [
        "A",
        "payments",
        "PAY001",
        "PAY009",
        "tenancy",
        "TEN003",
        "holdtrue",
    ]


def test_an_unknown_code_is_answered_with_the_one_that_was_meant(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install_guarantees(monkeypatch)
    code, out, err = shell("explain", "PAY0009")
    assert (code, out) == (2, "")
    assert "did you mean `PAY009`?" in err


@pytest.mark.parametrize("args", [(), ("PAY009", "--list")])
def test_explain_wants_a_code_or_the_list(shell: Shell, args: tuple[str, ...]) -> None:
    code, _, err = shell("explain", *args)
    assert code == 2
    assert "holdtrue explain --list" in err
