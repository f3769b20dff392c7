"""Starting, watching, stopping and killing the app's processes."""

import asyncio
import contextlib
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from holdtrue.stage.process import AppProcess, CommandTimeoutError, PortInUseError, StartError, free_port, run
from holdtrue.stage.process import start_on_port as start_on

Make = Callable[..., AppProcess]

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 503); self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

# Forks twice and leaves session and group, as daemons do; both say who they are on the log.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"daemon %d\\n" % os.getpid())
    signal.pause()
os.write(1, b"main %d\\n" % os.getpid())
signal.pause()
"""


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[AppProcess] = []

    def build(code: str, *args: str, redact: Callable[[str], str] = str, **env: str) -> AppProcess:
        script = tmp_path / f"app{len(made)}.py"
        script.write_text(textwrap.dedent(code))
        command = [sys.executable, "-u", "-S", str(script), *args]
        process = AppProcess(
            "web", command, cwd=tmp_path, env=env, log_path=tmp_path / "logs" / f"{len(made)}.log", redact=redact
        )
        made.append(process)
        return process

    yield build
    for process in made:
        await process.kill()


async def until_said(process: AppProcess, words: int) -> list[str]:
    """Waits until the log holds this many words."""
    while len(said := process.log().split()) < words:
        assert process.alive, said
        await asyncio.sleep(0)
    return said


async def until_ended(processes: list[psutil.Process]) -> None:
    """Waits until each has ended, whether or not this machine's init has collected it by now."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                assert process.pid != 1
                await asyncio.sleep(0)


def pids_of(said: list[str]) -> dict[str, int]:
    return {who: int(pid) for who, pid in zip(said[::2], said[1::2], strict=True)}


async def test_an_app_is_ready_when_its_readiness_url_answers(make: Make) -> None:
    port = free_port()
    web = make(SERVER, str(port))
    await web.start()
    assert await web.ready("/ready", port, patience=20) == 200
    assert web.alive


async def test_an_app_without_a_readiness_url_is_ready_when_it_accepts_a_connection(make: Make) -> None:
    port = free_port()
    web = make(SERVER, str(port))
    await web.start()
    assert await web.ready(None, port, patience=20) is None


async def test_an_app_that_answers_only_errors_is_not_ready(make: Make) -> None:
    port = free_port()
    web = make(SERVER, str(port))
    await web.start()
    await web.ready(None, port, patience=20)
    with pytest.raises(StartError, match="the last answer was 503"):
        await web.ready("/broken", port, patience=0.3)


async def test_an_app_that_hangs_at_start_runs_out_of_patience_and_shows_its_log(make: Make) -> None:
    web = make("import signal; print('waiting for a queue that is not there'); signal.pause()")
    await web.start()
    await until_said(web, 8)
    with pytest.raises(StartError, match="waiting for a queue that is not there"):
        await web.ready("/ready", free_port(), patience=0.05)


async def test_an_app_that_dies_before_it_is_ready_is_reported_at_once_with_its_last_words(make: Make) -> None:
    web = make("raise SystemExit('KeyError: SECRET_KEY')")
    await web.start()
    with pytest.raises(StartError, match=r"ended with code 1 before it was ready(.|\n)*KeyError: SECRET_KEY"):
        await web.ready("/ready", free_port(), patience=3600)


async def test_a_command_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    web = AppProcess("web", ["no-such-server"], cwd=tmp_path, env={"PATH": "/bin"}, log_path=tmp_path / "log")
    with pytest.raises(StartError, match=r"could not be executed: No such file(.|\n)*no-such-server"):
        await web.start()
    assert not web.alive


async def test_an_app_that_dies_midway_says_so_without_being_asked(make: Make) -> None:
    web = make("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    await web.start()
    await web.exited.wait()
    assert (web.returncode, web.alive) == (-signal.SIGSEGV, False)


async def test_stop_lets_the_app_end_on_its_own(make: Make) -> None:
    web = make("""
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("bye"))
        print("up")
        signal.pause()
    """)
    await web.start()
    await until_said(web, 1)
    assert await web.stop(patience=60) == 1
    assert web.log().split() == ["up", "bye"]


async def test_stop_kills_an_app_that_will_not_end(make: Make) -> None:
    web = make("""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("up")
        while True: signal.pause()
    """)
    await web.start()
    await until_said(web, 1)
    assert await web.stop(patience=0.05) == -signal.SIGKILL


async def test_kill_reaches_what_the_app_forked_even_a_daemon_that_left_its_session(make: Make) -> None:
    web = make(DAEMON)
    await web.start()
    pids = pids_of(await until_said(web, 4))
    assert pids["main"] == web.pid
    assert await web.kill() == -signal.SIGKILL
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]


async def test_when_the_main_process_ends_its_forks_end_with_it(make: Make) -> None:
    web = make(DAEMON)
    await web.start()
    pids = pids_of(await until_said(web, 4))
    psutil.Process(pids["main"]).kill()
    await web.exited.wait()
    assert not psutil.pid_exists(pids["daemon"])


async def test_nothing_survives_when_the_stage_itself_is_killed(tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    stage = f"""
        import asyncio, sys
        from pathlib import Path
        from holdtrue.stage.process import AppProcess

        async def main():
            here = Path({str(tmp_path)!r})
            command = [sys.executable, "-S", str(here / "daemon.py")]
            web = AppProcess("web", command, cwd=here, env={{}}, log_path=here / "log")
            await web.start()
            while len(web.log().split()) < 4:
                await asyncio.sleep(0)
            print("ready", flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(stage), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    left = [psutil.Process(pid) for pid in pids_of((tmp_path / "log").read_text().split()).values()]
    supervisors = psutil.Process(process.pid).children()
    process.kill()
    await process.wait()
    await until_ended([*left, *supervisors])


async def test_an_app_whose_supervisor_is_killed_dies_with_it(make: Make) -> None:
    web = make("import signal; print('up'); signal.pause()")
    await web.start()
    await until_said(web, 1)
    assert web.pid is not None
    app = psutil.Process(web.pid)
    app.parent().kill()
    await web.exited.wait()
    await until_ended([app])
    with pytest.raises(StartError, match="supervisor was killed"):
        await web.wait()


async def test_secrets_are_redacted_in_the_log_and_in_errors(make: Make) -> None:
    web = make("raise SystemExit('cannot sign in with hunter2')", redact=lambda text: text.replace("hunter2", "[x]"))
    await web.start()
    with pytest.raises(StartError) as failure:
        await web.ready(None, free_port(), patience=3600)
    assert "sign in with [x]" in str(failure.value)
    assert "hunter2" not in str(failure.value) + web.log()
    assert web.log_path.stat().st_mode & 0o077 == 0


async def test_the_environment_is_exactly_the_one_given_and_stdin_is_empty(make: Make) -> None:
    web = make("import os, sys; print(sorted(os.environ), repr(sys.stdin.read()))", APP_MODE="rehearsal", LC_CTYPE="C")
    await web.start()
    await web.wait()
    assert web.log() == "['APP_MODE', 'LC_CTYPE'] ''\n"


async def test_signals_that_the_supervisor_survives_are_not_ignored_in_the_app(make: Make) -> None:
    web = make("import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_DFL)")
    await web.start()
    await web.wait()
    assert web.log() == "True\n"


async def test_a_port_that_is_ours_to_choose_is_chosen_again_when_somebody_was_faster(make: Make) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken, tried = stranger.getsockname()[1], []

        def on(port: int) -> AppProcess:
            tried.append(port)
            return make(SERVER, str(taken if len(tried) == 1 else port))

        web, port = await start_on(on, port=None, url_path="/ready", patience=20)
    assert len(tried) == 2
    assert port == tried[1] != tried[0]
    assert web.alive


async def test_a_given_port_in_use_is_a_clear_error(make: Make) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            await start_on(lambda port: make(SERVER, str(port)), port=port, url_path="/ready", patience=20)


async def test_a_stranger_on_the_port_is_not_taken_for_the_app(make: Make) -> None:
    port = free_port()
    stranger, web = make(SERVER, str(port)), make("import signal; signal.pause()")
    await stranger.start()
    await stranger.ready("/ready", port, patience=20)
    await web.start()
    with pytest.raises(PortInUseError, match="no process of web listens on it"):
        await web.ready("/ready", port, patience=20)


async def test_a_one_shot_command_returns_its_code_and_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('migrated'); raise SystemExit(3)"]
    done = await run(command, cwd=tmp_path, env={}, log_path=tmp_path / "log", patience=60)
    assert (done.returncode, done.output) == (3, "migrated\n")


async def test_a_one_shot_command_out_of_patience_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with pytest.raises(CommandTimeoutError, match=r"seed did not end within 0.1 s"):
        await run(command, cwd=tmp_path, env={}, log_path=tmp_path / "log", patience=0.1, name="seed")


async def test_a_port_is_never_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
