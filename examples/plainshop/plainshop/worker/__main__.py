"""python -m plainshop.worker [run | reconcile [--days N] | dead | requeue]"""

import argparse
import logging
import signal
import sys
import threading
from functools import partial

from plainshop.db import Database
from plainshop.readiness import Readiness
from plainshop.settings import Settings, load_settings
from plainshop.stripe_api import StripeApi
from plainshop.tokens import Tokens
from plainshop.worker.loops import Loop
from plainshop.worker.mails import send_next_mail
from plainshop.worker.operators import list_dead, prune_counters, requeue_dead
from plainshop.worker.reconcile import reconcile
from plainshop.worker.refunds import send_next_refund

log = logging.getLogger("plainshop.worker")


def run(database: Database, settings: Settings) -> int:
    """Until SIGTERM or SIGINT; what is being sent then is finished first. Non-zero when a loop failed."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    steps = {
        "mail": partial(send_next_mail, database, settings, Tokens(settings)),
        "refunds": partial(send_next_refund, database, settings, StripeApi(settings)),
    }
    loops = [Loop(name, step, settings.worker_poll_seconds, stop) for name, step in steps.items()]
    loops.append(Loop("housekeeping", partial(prune_counters, database), 3600, stop))
    for loop in loops:
        loop.start()
    log.info("started")
    for loop in loops:
        loop.join()
    log.info("stopped")
    return 1 if any(loop.failed for loop in loops) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="plainshop.worker")
    parser.add_argument("command", nargs="?", default="run", choices=["run", "reconcile", "dead", "requeue"])
    parser.add_argument("--days", type=int, default=7, help="how far reconcile looks back; Stripe keeps 30")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("stripe").setLevel(logging.WARNING)
    settings = load_settings()
    database = Database(settings, pool_size=4)
    readiness = Readiness(database)
    readiness.refuse_powerful_role()
    trouble = readiness.problem()
    if trouble:
        log.error(trouble)
        return 1
    if options.command == "reconcile":
        outcomes = reconcile(database, settings, StripeApi(settings), days=options.days)
        sys.stdout.write(f"{dict(outcomes)}\n")
        return 1 if outcomes["failed"] else 0
    if options.command == "dead":
        sys.stdout.write("".join(f"{line}\n" for line in list_dead(database)))
        return 0
    if options.command == "requeue":
        sys.stdout.write(f"{requeue_dead(database)} requeued\n")
        return 0
    return run(database, settings)


if __name__ == "__main__":
    raise SystemExit(main())
