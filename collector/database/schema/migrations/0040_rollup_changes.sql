-- What transactions add to `event_hours`, not yet folded into it: a transaction appends one row for each day of acceptance,
-- project, type and `is_first_occurrence` instead of changing a row for each stack. Workers fold them every few seconds.
CREATE TABLE event_hour_changes (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day                 date NOT NULL,
    project_id          uuid NOT NULL,
    type                text NOT NULL,
    is_first_occurrence boolean NOT NULL,
    changes             integer NOT NULL,           -- the length of each array
    stack_ids           uuid[] NOT NULL,
    events              integer[] NOT NULL,
    counted             integer[],                  -- NULL if no event has a `count`
    count_sums          bigint[],                   -- the same
    earliest            timestamptz[] NOT NULL,     -- in the same hour as `latest`
    latest              timestamptz[] NOT NULL
);
-- Compressing takes more time than writing: the rows live for seconds.
ALTER TABLE event_hour_changes
    ALTER stack_ids SET STORAGE EXTERNAL, ALTER events SET STORAGE EXTERNAL, ALTER counted SET STORAGE EXTERNAL,
    ALTER count_sums SET STORAGE EXTERNAL, ALTER earliest SET STORAGE EXTERNAL, ALTER latest SET STORAGE EXTERNAL;

CREATE VIEW unfolded_event_hours AS
    SELECT c.day, c.project_id, u.stack_id, c.type, c.is_first_occurrence,
        date_bin('1 hour', u.earliest, '2000-01-01 00:00:00+00') AS begin_utc,
        u.events::bigint AS events, coalesce(u.counted, 0)::bigint AS counted,
        coalesce(u.count_sum, 0) AS count_sum, u.earliest, u.latest
    FROM event_hour_changes AS c CROSS JOIN LATERAL
        unnest(c.stack_ids, c.events, c.counted, c.count_sums, c.earliest, c.latest)
            AS u (stack_id, events, counted, count_sum, earliest, latest);

-- What readers read: several rows may have the same key.
CREATE VIEW current_event_hours AS
    SELECT day, project_id, stack_id, type, is_first_occurrence, begin_utc, events, counted, count_sum, earliest, latest
    FROM event_hours
    UNION ALL
    SELECT day, project_id, stack_id, type, is_first_occurrence, begin_utc, events, counted, count_sum, earliest, latest
    FROM unfolded_event_hours;
