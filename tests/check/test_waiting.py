"""What stages take: heavy before light, and each its own places while there are any."""

from dataclasses import replace

from holdtrue.check.waiting import Waiting
from holdtrue.guarantees import ALL


def waiting(*codes: str) -> Waiting:
    by_code = {guarantee.code: guarantee for guarantee in ALL}
    return Waiting(replace(by_code[code], weight=1) for code in codes)


def taken(left: Waiting, *lanes: int) -> list[str]:
    return [guarantee.code if (guarantee := left.take(lane)) else "" for lane in lanes]


def test_a_stage_goes_on_with_the_place_it_has_begun() -> None:
    left = waiting("PAY011", "PAY009", "TEN042", "PAY007", "TEN043")
    assert taken(left, 0, 1, 1, 0, 0) == ["PAY011", "TEN042", "TEN043", "PAY009", "PAY007"]


def test_a_stage_begins_a_place_of_its_own_before_it_helps_another() -> None:
    left = waiting("PAY011", "PAY009", "PAY007", "AUTH001", "MAIL050")
    assert taken(left, 0, 1, 1, 1, 1) == ["PAY011", "AUTH001", "MAIL050", "PAY009", "PAY007"]


def test_all_are_taken_once_in_the_order_they_came_by_a_single_stage() -> None:
    left = waiting("PAY011", "PAY009", "TEN042")
    assert taken(left, 0, 0, 0, 0) == ["PAY011", "PAY009", "TEN042", ""]
