"""The endpoint of Prometheus metrics."""

from collections.abc import Iterator
from itertools import accumulate

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from app import runtime
from app.core.errors import Refused
from app.plugin import Access, ApiGroup, Content, described
from app.sharing import metrics
from app.web.guards import authenticate_api_key
from app.web.http import BOUNDS_S, RequestCounts

BUCKETS = (*map(str, BOUNDS_S), "+Inf")
bp = Blueprint("metrics", __name__)


class StoredState:
    """Collects the metrics of the database, as of one scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of jobs and messages."""
        return metrics.collect(runtime.now())


class Requests:
    """Collects the number and duration of requests since the application started."""

    def collect(self) -> Iterator[Metric]:
        """Yield the counts by method, route and status."""
        labels = ("method", "route", "status")
        requests = CounterMetricFamily("duplistatus_http_requests", "Requests that were answered", labels=labels)
        durations = HistogramMetricFamily(
            "duplistatus_http_request_duration_seconds", "Time to process requests", labels=labels
        )
        for (method, route, status), (total_s, *counts) in runtime.part(RequestCounts).copy():
            named = (method, route, str(status))
            buckets = list(zip(BUCKETS, accumulate(counts), strict=True))
            requests.add_metric(named, buckets[-1][1])
            durations.add_metric(named, buckets, total_s)
        yield from (requests, durations)


@bp.get("/metrics")
@described({200: Content("text/plain")}, errors=(401, 403, 404, 429))
def show() -> ResponseReturnValue:
    """Get metrics in the Prometheus text format. 404 if the endpoint is disabled."""
    if not metrics.are_enabled():
        raise Refused("metrics_disabled")
    authenticate_api_key("read", always_needs_key=metrics.need_key())
    registry = CollectorRegistry(auto_describe=False)
    for collector in (StoredState(), Requests()):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


group = ApiGroup(
    name="metrics", blueprint=bp, access=Access.PUBLIC, csrf=False, url_prefix="", summary="Prometheus metrics"
)
