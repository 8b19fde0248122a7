-- When a day's rollups were last outdated by a change, or could not be made: the worker leaves the day alone for a while then.
ALTER TABLE rollup_days ADD COLUMN outdated_utc timestamptz;
