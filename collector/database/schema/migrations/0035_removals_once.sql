-- One open request for each stack or project: asking again extends it, so that the table stays small.
DELETE FROM removals AS r USING removals AS other
WHERE r.done_utc IS NULL AND other.done_utc IS NULL AND r.project_id = other.project_id
  AND r.stack_id IS NOT DISTINCT FROM other.stack_id AND (r.asked_utc, r.id) < (other.asked_utc, other.id);
CREATE UNIQUE INDEX removals_asked ON removals (project_id, stack_id) NULLS NOT DISTINCT WHERE done_utc IS NULL;
