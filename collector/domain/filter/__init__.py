"""The filter language: grammar, fields, predicates, aggregations, sorting."""
