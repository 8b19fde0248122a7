-- Rollups: how many events each stack has by hour and by day, so that charts and lists of stacks do not read the events.
-- Both tables have the same columns. `day` is that of acceptance, as of a partition: rows go with their partition.

CREATE TABLE event_hours (
    day                 date NOT NULL,
    project_id          uuid NOT NULL,
    stack_id            uuid NOT NULL,              -- all zeros for events from before there were stacks
    type                text NOT NULL,
    is_first_occurrence boolean NOT NULL,
    begin_utc           timestamptz NOT NULL,       -- of the hour that the events' dates lie in
    events              bigint NOT NULL,
    counted             bigint NOT NULL,            -- the events that have a `count`
    count_sum           bigint NOT NULL,
    earliest            timestamptz NOT NULL,
    latest              timestamptz NOT NULL,
    PRIMARY KEY (day, project_id, begin_utc, stack_id, type, is_first_occurrence)
) WITH (fillfactor = 70);

-- Made from the hours of a day of acceptance once that is over; `begin_utc` is that of the UTC day of the events' dates.
CREATE TABLE event_days (
    LIKE event_hours,
    PRIMARY KEY (day, project_id, stack_id, type, is_first_occurrence, begin_utc)
);

-- Which days of acceptance have rollups; a day without a row has none, and its events are read instead. A row is made with its
-- partition, whose rollups are complete from its first event on; a worker makes those of earlier partitions in the background.
CREATE TABLE rollup_days (
    day       date PRIMARY KEY,
    has_hours boolean NOT NULL DEFAULT true,
    has_days  boolean NOT NULL DEFAULT false
);
