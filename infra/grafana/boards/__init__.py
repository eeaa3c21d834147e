"""One module a dashboard: its DASHBOARD. `panels` has what they are made of."""
