-- The newest sessions, in the order in which the lists of the server and of the class have them.
DO $do$ BEGIN IF to_regclass('"{prefix}acquisition"."session"') IS NOT NULL THEN
  CREATE INDEX IF NOT EXISTS "idx_session_session_date_subject_session_n"
    ON "{prefix}acquisition"."session" ("session_date", "subject", "session_number")
; END IF; END $do$;
