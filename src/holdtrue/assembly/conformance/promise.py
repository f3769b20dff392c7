"""What a contract must say, before anything is started."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from holdtrue.assembly.conformance.samples import NoSample, sample
from holdtrue.assembly.conformance.subject import Subject
from holdtrue.contract import Contract
from holdtrue.contract.promises import digest
from holdtrue.runtime import Fault
from holdtrue.runtime.settings import variables

_CODE = re.compile(r"[A-Z]{3,4}\d{3}")


def promise(subject: Subject) -> Iterator[Fault]:
    """Everything that the contract lacks."""
    contract = subject.module.promise
    yield from _round_trip(contract)
    yield from _guarantees(contract)
    yield from _settings(subject)
    yield from _payloads(subject)
    yield from _words(contract)


def _round_trip(contract: Contract) -> Iterator[Fault]:
    told = contract.as_json()
    read = json.loads(json.dumps(told))
    if read != told or digest(read) != contract.digest:
        yield Fault(
            "CONTRACT_NOT_JSON",
            f"the contract of {contract.name} is not the same after a way through JSON",
            why="A lock and an approval are over its JSON.",
            do="Use texts, numbers, tuples and dicts with texts as keys.",
        )


def _guarantees(contract: Contract) -> Iterator[Fault]:
    if (contract.tables or contract.routes or contract.effects or contract.mails) and not contract.guarantees:
        yield Fault(
            "NO_GUARANTEES",
            f"{contract.name} names no guarantee that it keeps",
            why="Nobody can hold it to anything, nor see what is lost without it.",
            do='Name the codes: guarantees=("TEN042",). `holdtrue explain --list` has them.',
        )
    for code in contract.guarantees:
        if not _CODE.fullmatch(code):
            yield Fault("GUARANTEE_NAME", f"{contract.name}: {code!r} is no code of a guarantee", do='Write "TEN042".')


def _settings(subject: Subject) -> Iterator[Fault]:
    kind, contract = subject.module.settings, subject.module.contract
    if kind is None:
        return
    declared = {each.name for each in contract.secrets} | {each.name for each in contract.variables}
    declared |= set(contract.rehearsal.env)
    known = variables(kind)
    for name in sorted(name for name, required in known.items() if required and name not in declared):
        yield Fault(
            "SETTING_UNDECLARED",
            f"{subject.name} needs {name}, and its contract says nothing about it",
            why="No rehearsal could start an app with it.",
            do="Declare it as a Secret or a Variable, with what a rehearsal sets it to.",
        )
    for name in sorted(each.name for each in contract.secrets if each.name not in known):
        yield Fault("SECRET_UNREAD", f"{subject.name} declares the secret {name}, and its settings do not read it")


def _payloads(subject: Subject) -> Iterator[Fault]:
    contract = subject.module.contract
    for target in (*contract.hooks, *contract.events, *contract.jobs):
        try:
            made = sample(target.name, target.payload, subject.samples)
        except NoSample as error:
            yield Fault(
                "NO_SAMPLE",
                f"{target.name}: no payload can be made up: {error}",
                do=f'Give one: conformance(…, samples={{"{target.name}": {target.payload.__name__}(…)}}).',
            )
            continue
        if type(made).model_validate(json.loads(made.model_dump_json())) != made:
            yield Fault(
                "PAYLOAD_NOT_JSON",
                f"{target.name}: {made!r} is not the same after a way through JSON",
                why="What a worker is given went through the outbox as JSON.",
                do="Use types that pydantic reads back as they were.",
            )


def _words(contract: Contract) -> Iterator[Fault]:
    told = [(each.name, each.doc) for each in contract.permissions] + [(each.name, each.doc) for each in contract.hooks]
    for name, doc in told:
        if not doc:
            yield Fault(
                "WITHOUT_WORDS",
                f"{name} has no doc",
                why="Whoever composes an app reads nothing but the contract.",
                do="Say in one sentence what it allows or decides.",
            )
