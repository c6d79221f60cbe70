"""The endpoint of Prometheus metrics, and the timing of requests."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from app import runtime
from app.core.errors import Refused
from app.plugin import Access, ApiGroup, Content, described
from app.runtime import runtime_of
from app.sharing import metrics
from app.sharing.metrics import RequestFigures
from app.web.guards import authenticate_api_key

# View of the group `metrics`, and the timing of every request

bp = Blueprint("metrics", __name__)

# In the environment of a request: when it began.
BEGAN = "duplistatus.began"
# URLs that do not exist count as one route, otherwise a client could fill the memory.
NO_ROUTE = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class StoredState:
    """Collects the metrics of the database, as of one scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of jobs and messages."""
        return metrics.collect(runtime.now())


@bp.record
def count_requests(state: BlueprintSetupState) -> None:
    """Time every request.

    The histogram is bound once: resolving it per request costs as much as the timing.
    """
    add = runtime_of(state.app).part(RequestFigures).add
    the_request = request._get_current_object  # type: ignore[attr-defined]

    def start_clock(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
        """Record the start of the request: called first, before the access rules."""
        the_request().environ[BEGAN] = perf_counter()

    def stop_clock(answer: Response) -> Response:
        """Count the request."""
        passing = the_request()
        environment, rule = passing.environ, passing.url_rule
        method = environment["REQUEST_METHOD"]
        add(
            method if method in METHODS else NO_ROUTE,
            NO_ROUTE if rule is None else rule.rule,
            answer.status_code,
            perf_counter() - environment[BEGAN],
        )
        return answer

    state.app.url_value_preprocessor(start_clock)
    state.app.after_request(stop_clock)


@bp.get("/metrics")
@described({200: Content("text/plain")}, errors=(401, 403, 404, 429))
def show() -> ResponseReturnValue:
    """Get metrics in the Prometheus text format. 404 if the endpoint is disabled."""
    if not metrics.are_enabled():
        raise Refused("metrics_disabled")
    authenticate_api_key("read", always_needs_key=metrics.need_key())
    registry = CollectorRegistry(auto_describe=False)
    for collector in (StoredState(), figures()):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def figures() -> RequestFigures:
    """Return the counts of this application."""
    return runtime.part(RequestFigures)


group = ApiGroup(
    name="metrics", blueprint=bp, access=Access.PUBLIC, csrf=False, url_prefix="", summary="Prometheus metrics"
)
