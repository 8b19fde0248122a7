"""The parts of `make neighbours`: the attackers, the victim, the report."""
