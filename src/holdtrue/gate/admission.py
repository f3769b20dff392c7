"""Approvals of a plan, and the admission that names them, the plan and the check it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from holdtrue.contract.errors import UsageError
from holdtrue.gate import plan as plans
from holdtrue.gate import ssh
from holdtrue.gate.canonical import digest, same
from holdtrue.gate.errors import GateRefusal
from holdtrue.gate.held import Held
from holdtrue.gate.paper import Plan
from holdtrue.gate.ssh import ADMISSION_NAMESPACE, PLAN_NAMESPACE, Signer
from holdtrue.gate.state import Model, Told

MOST_SIGNATURES = 16


class Admission(Model):
    """Why a release may be deployed."""

    schema_: Annotated[Literal["holdtrue/admission/1"], Field(alias="schema")] = "holdtrue/admission/1"
    plan: Plan
    plan_digest: str
    approvals: list[str]
    """SSH signatures over the plan's digest."""
    held: Held
    at: datetime

    @property
    def digest(self) -> str:
        """What the ledger knows it by."""
        return digest(self.as_json())


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """An admission and the signature of who admitted it: without, anybody could write that a check held."""

    admission: Admission
    seal: str

    def write(self, file: Path) -> None:
        """Raises UsageError."""
        plans.write(file, "admission", self.admission.as_json(), self.admission.digest, seal=self.seal)


def message(value: str) -> bytes:
    """What is signed for a digest: a line of text that ``sha256sum`` people can compare."""
    return f"{value}\n".encode()


def read_sealed(file: Path) -> Sealed:
    """Read an admission.

    Raises:
        GateRefusal: ADMISSION_EDITED.
        UsageError: it is none.
    """
    paper = plans.read_paper(file, "admission", "Make one: holdtrue admit")
    admission = parse(paper["admission"], str(file))
    if not same(admission.digest, paper["digest"]) or not same(admission.plan.digest, admission.plan_digest):
        raise GateRefusal(
            "ADMISSION_EDITED", "the admission is not the one that its digest was made of", where=str(file),
            do="Admit again.",
        )  # fmt: skip
    return Sealed(admission=admission, seal=str(paper.get("seal", "")))


def parse(value: object, where: str) -> Admission:
    """An admission from its JSON.

    Raises:
        UsageError: it is none.
    """
    try:
        return Admission.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        seen = f"is no admission of this version: {place}: {first['msg']}"
        raise UsageError(seen, where=where, do="Admit again.") from None


# -- approve ----------------------------------------------------------------------------------------------------------


async def approve(plan: Plan, directory: Path, key: Path, today: date) -> tuple[str, Signer]:
    """Sign a plan, after it was found to say what is there. Runs nothing of the app. Returns signature and signer.

    Raises:
        GateRefusal: the plan is stale, or the key's signature would not count.
    """
    plans.refuse_stale(plan, plans.redraw(plan, directory), today)
    signature = await ssh.sign(message(plan.digest), key, PLAN_NAMESPACE)
    signer, why = await ssh.verify(message(plan.digest), signature, plan.signers, PLAN_NAMESPACE)
    if signer is None:
        raise GateRefusal(
            "NOT_A_SIGNER",
            f"an approval by this key would not count: {why}",
            where=str(key),
            why="Whose approval counts was decided when the release before this one was admitted.",
            do=f"Ask somebody who is listed in {plan.state.signers_file}.",
        )
    return signature, signer


async def refuse_unapproved(plan: Plan, approvals: Sequence[str], signers: str) -> list[Signer]:
    """Who approved, by valid signatures of these signers over the plan's digest.

    Raises:
        GateRefusal: NOT_APPROVED, an approval is needed and none counts.
    """
    found: list[Signer] = []
    reasons: list[str] = []
    for signature in approvals[:MOST_SIGNATURES]:
        signer, why = await ssh.verify(message(plan.digest), signature, signers, PLAN_NAMESPACE)
        if signer is None:
            reasons.append(why)
        elif signer not in found:
            found.append(signer)
    if plan.needs and not found:
        counted = f" ({len(approvals)} signatures do not count: {'; '.join(reasons)})" if approvals else ""
        raise GateRefusal(
            "NOT_APPROVED",
            f"this plan needs an approval for {', '.join(plan.needs)}, and has none{counted}",
            why="An agent may ask for such a change, and never grant it.",
            do="Let somebody who may approve run: holdtrue approve",
        )
    return found


# -- admit ------------------------------------------------------------------------------------------------------------


async def admit(
    plan: Plan, directory: Path, told: Told, approvals: Sequence[str], proof: Held, key: Path, now: datetime
) -> Sealed:
    """Admit a release: the plan is fresh, approved where it must be, and held. Sealed by a key.

    Raises:
        GateRefusal: it is not.
    """
    plans.refuse_stale(plan, plans.redraw(plan, directory, told), now.date())
    await refuse_unapproved(plan, approvals, plan.signers)
    admission = Admission(plan=plan, plan_digest=plan.digest, approvals=list(approvals), held=proof, at=now)
    seal = await ssh.sign(message(admission.digest), key, ADMISSION_NAMESPACE)
    await refuse_unsealed(Sealed(admission=admission, seal=seal), plan.signers)
    return Sealed(admission=admission, seal=seal)


async def refuse_unsealed(sealed: Sealed, signers: str) -> Signer:
    """Who admitted.

    Raises:
        GateRefusal: NOT_SEALED.
    """
    subject = message(sealed.admission.digest)
    signer, why = await ssh.verify(subject, sealed.seal, signers, ADMISSION_NAMESPACE)
    if signer is None:
        raise GateRefusal(
            "NOT_SEALED",
            f"nobody who may admit has sealed this admission: {why}",
            why="Anybody can write a file that says a check held.",
            do="Let the pipeline, or somebody listed for it, run `holdtrue admit` with a key of its own.",
        )
    return signer
