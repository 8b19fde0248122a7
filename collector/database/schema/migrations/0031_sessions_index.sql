-- Lists of sessions: few events are starts of sessions. The condition is that of the filter `type:session`, which ignores case.
CREATE INDEX events_sessions ON events (project_id, date) WHERE lower(type COLLATE pg_c_utf8) = 'session';
