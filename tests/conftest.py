"""Hypothesis profiles: `fast` by default, `deep` and `brief` by name (`pytest --hypothesis-profile=deep`)."""

from hypothesis import HealthCheck, settings

# Examples are of very different sizes, so a deadline would time the machine and not the code.
settings.register_profile("fast", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("brief", settings.get_profile("fast"), max_examples=10)
settings.register_profile("deep", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("fast")
