-- What is looked for by project when a deleted project's rows are removed. The expression keeps the planner from using the
-- index for anything else: looking for a session by its project and digest would otherwise read all of a project when the
-- server's statistics are old.
CREATE INDEX sessions_purge ON sessions ((uuid_send(project_id)));
CREATE INDEX user_descriptions_purge ON user_descriptions ((uuid_send(project_id)));
CREATE INDEX user_descriptions_stored ON user_descriptions (stored_utc);
