"""Figures over time."""

from app.api.charts.views import bp
from app.contracts import ApiGroup

group = ApiGroup(name="charts", blueprint=bp, summary="Figures over time, for charts")
