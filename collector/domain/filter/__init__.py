"""The filter language: grammar, fields, predicates, aggregations and sorting."""
