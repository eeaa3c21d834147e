"""The routes of the Annotate page: nothing of an audit window's prediction, no answer without its lease."""

from __future__ import annotations

import json

import pytest
from console_process import Console

pytestmark = pytest.mark.integration


def test_an_audit_window_is_sent_without_predictions_and_answered_alone(console: Console) -> None:
    console.rows("UPDATE queue_items SET stratum = 'doubt', required_labels = 1")
    audit, other, foreign = (
        row[0] for row in console.rows("SELECT item_id FROM queue_items ORDER BY queued_at, item_id LIMIT 3")
    )
    console.rows("UPDATE queue_items SET stratum = 'audit' WHERE item_id = %s", (audit,))
    bob, cleo = console.session("bob"), console.session("cleo")

    def post(client: object, path: str, **body: object) -> tuple[int, object]:
        answer = client.post(f"{console.address}/annotate/{path}", json=body, timeout=30)  # type: ignore[attr-defined]
        return answer.status_code, answer.json()

    sent = bob.get(f"{console.address}/annotate/next", timeout=30)
    item = sent.json()["item"]
    assert (item["item_id"], item["audit"], item["model"], item["strip"]) == (audit, True, {}, "")
    (said,) = console.rows("SELECT probabilities FROM queue_items WHERE item_id = %s", (audit,))
    assert not [p for p in said[0] if str(round(p, 4)) in json.dumps(item["model"]) + item["strip"]]
    shown = bob.get(f"{console.address}/annotate/next?besides={audit}", timeout=30).json()["item"]
    assert (shown["item_id"], shown["audit"]) == (other, False)
    assert shown["model"]

    # several at once, with it among them or in front
    status, why = post(bob, "together", item_ids=[other, audit], label="walking")
    assert status == 409
    assert "labelled alone" in why["detail"]  # type: ignore[index]
    assert bob.get(f"{console.address}/annotate/similar/{audit}", timeout=30).status_code == 409
    assert console.rows("SELECT count(*) FROM annotations") == [(0,)]

    # no answer without a lease of one's own, and renewing is no way to get one
    for client, number in ((cleo, audit), (bob, foreign)):
        assert post(client, "renew", item_ids=[number]) == (200, {"held": []})
        assert post(client, "answer", item_id=number, answer="label", label="walking")[0] == 409
    assert post(cleo, "together", item_ids=[other], label="walking")[1]["taken"] == []  # type: ignore[index]
    console.rows("UPDATE leases SET expires_at = clock_timestamp() WHERE item_id = %s", (audit,))
    assert post(bob, "answer", item_id=audit, answer="label", label="walking")[0] == 409
    assert post(bob, "renew", item_ids=[audit]) == (200, {"held": [audit]})
    status, _ = post(bob, "answer", item_id=audit, answer="label", label="walking", model_hidden=False)
    assert status == 200
    assert console.rows("SELECT annotator, model_hidden FROM annotations") == [("bob", True)]
