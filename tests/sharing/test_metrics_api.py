"""Metrics, parsed by the parser of Prometheus."""

import pytest
from factories import make_run
from prometheus_client.parser import text_string_to_metric_families

from app.accounts import api_keys

SETTINGS = "/api/metrics-settings"


@pytest.fixture
def enable(admin):
    def enable(**body):
        return admin.send("PATCH", SETTINGS, json={"enabled": True, **body})

    return enable


def samples(client, **request):
    answer = client.get("/metrics", **request)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def find(found, name, **labels):
    return [
        value for (other, *items), value in found.items() if other == name and labels.items() <= dict(items).items()
    ]


def test_metrics_are_off_by_default(client):
    assert client.get("/metrics").status_code == 404


def test_job_has_a_metric_with_its_names(db, client, enable):
    run = make_run(server_name='na"s\\', job_name="photos\nü", storage_bytes=7, status="Warning")
    enable()
    found = samples(client)
    labels = {"server": 'na"s\\', "job": "photos\nü"}
    assert find(found, "duplistatus_job_storage_bytes", **labels) == [7]
    assert find(found, "duplistatus_job_last_run_timestamp_seconds", **labels) == [run.began_at.timestamp()]
    assert find(found, "duplistatus_job_status", status="Warning", **labels) == [1]
    assert find(found, "duplistatus_job_status", **labels).count(1) == 1
    assert find(found, "duplistatus_job_overdue", **labels) == [0]


def test_overdue_job_is_overdue(db, client, enable, clock):
    make_run()
    enable()
    clock.advance(days=9)
    assert find(samples(client), "duplistatus_job_overdue") == [1]


def test_two_servers_of_one_name_are_distinguished(db, client, enable):
    make_run(server_id="a")
    make_run(server_id="b")
    enable()
    assert len(find(samples(client), "duplistatus_job_runs", server="nas", job="photos")) == 2


def test_requests_are_counted_by_route_and_status(client, enable):
    enable()
    for path in ("/api/ping", "/api/ping", "/api/nothing/1", "/api/nothing/2", "/api/servers"):
        client.get(path)
    found = samples(client)
    name = "duplistatus_http_requests_total"
    assert find(found, name, route="/api/ping", status="200") == [2]
    assert find(found, name, route="unknown", status="404") == [2]
    assert find(found, name, route="/api/servers", status="401") == [1]
    assert find(found, "duplistatus_http_request_duration_seconds_count", route="/api/ping") == [2]


def test_unknown_methods_are_counted_as_one(client, enable):
    enable()
    for method in ("BREW", "WHEN"):
        client.open("/api/ping", method=method)
    assert find(samples(client), "duplistatus_http_requests_total", method="unknown") == [2]


def test_queues_and_process_have_metrics(client, enable):
    enable()
    found = samples(client)
    assert find(found, "duplistatus_deliveries", state="queued") == [0]
    assert find(found, "duplistatus_rejected_reports") == [0]
    assert find(found, "process_resident_memory_bytes")[0] > 0


def test_key_is_required_if_configured(db, client, enable, clock):
    enable(requiresKey=True)
    assert client.get("/metrics").status_code == 401
    secret = api_keys.create_key("prometheus", "read", now=clock()).secret
    assert samples(client, headers={"Authorization": f"Bearer {secret}"})


def test_settings_need_an_administrator(client):
    assert client.get(SETTINGS).status_code == 401


def test_switch_is_required(admin):
    answer = admin.send("PATCH", SETTINGS, json={})
    assert (answer.status_code, answer.json["error"].partition(":")[0]) == (400, "enabled")
