"""The guarantees. Naming one here is what puts it into the check; a test holds this list to the files."""

from holdtrue.guarantees.audit import aud001_change_without_event, aud007_history_can_be_edited
from holdtrue.guarantees.auth import auth001_route_without_its_permission, auth016_refresh_token_used_twice
from holdtrue.guarantees.base import Case, Guarantee, Harm, Untried
from holdtrue.guarantees.email import mail050_mail_lost_in_an_outage, mail051_mail_lost_in_a_crash
from holdtrue.guarantees.payments import pay001_forged_webhook, pay011_webhook_not_exactly_once
from holdtrue.guarantees.releases import rel032_down_does_not_undo, rel058_code_ahead_of_schema
from holdtrue.guarantees.tenancy import ten042_id_of_another_tenant, ten045_removed_member_stays_in

ALL: tuple[Guarantee, ...] = tuple(
    module.GUARANTEE
    for module in (
        auth001_route_without_its_permission,
        auth016_refresh_token_used_twice,
        ten042_id_of_another_tenant,
        ten045_removed_member_stays_in,
        pay001_forged_webhook,
        pay011_webhook_not_exactly_once,
        mail050_mail_lost_in_an_outage,
        mail051_mail_lost_in_a_crash,
        aud001_change_without_event,
        aud007_history_can_be_edited,
        rel032_down_does_not_undo,
        rel058_code_ahead_of_schema,
    )
)

__all__ = ["ALL", "Case", "Guarantee", "Harm", "Untried"]
