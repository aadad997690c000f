"""The local Lens: Primus Lens' telemetry API on one machine, in SQLite or PostgreSQL.

It speaks the HTTP contract of the cluster's telemetry-processor, refusals and oddities included, so that what
works here works there. Start it with `primus-lens-local serve`. It shares no code with the agent.
"""
