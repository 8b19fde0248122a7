-- What the indexes of words are made from: the texts of an event that filters look into, in lower case. An index may find too much,
-- never too little: `collector/database/search/word_filter.py` knows what is not in here. After a change of these functions the indexes
-- must be built again, under another name.

-- An error without its stack traces and modules, which are most of it and are not searched by words; causes below the first keep theirs.
CREATE FUNCTION searched_error(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(error) = 'object' THEN
    (error - '{stack_trace,modules,inner}'::text[])::text
    || CASE WHEN jsonb_typeof(error -> 'inner') = 'object'
        THEN ((error -> 'inner') - '{stack_trace,modules}'::text[])::text
        ELSE coalesce((error -> 'inner')::text, '') END
    ELSE coalesce(error::text, '') END;

-- Its cost keeps the planner from computing it for the rows of a partition where an index could answer.
CREATE FUNCTION searched_text(
    message text, source text, type text, reference_id text, tags text[], data jsonb
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000
RETURN lower((
    coalesce(message, '') || ' ' || coalesce(source, '') || ' ' || coalesce(type, '') || ' '
    -- Hexadecimal references are a quarter of an index, and are looked up by their own.
    || CASE WHEN reference_id ~ '^[0-9A-Fa-f-]*$' THEN '' ELSE coalesce(reference_id, '') END || ' ' || coalesce(array_to_string(tags, ' '), '') || ' '
    || CASE WHEN jsonb_typeof(data) = 'object' AND data ?| '{@error,@simple_error}' THEN
        (data - '{@error,@simple_error}'::text[])::text
        || searched_error(data -> '@error') || searched_error(data -> '@simple_error')
        ELSE coalesce(data::text, '') END
) COLLATE "pg_c_utf8");
