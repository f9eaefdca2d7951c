-- Which datasets lack a good copy in a repository is told by two indexes, without reading the rows.
DO $do$ BEGIN IF to_regclass('"{prefix}data"."file_record"') IS NOT NULL THEN
  CREATE INDEX IF NOT EXISTS "idx_dataset_dataset_id_dataset_hash" ON "{prefix}data"."dataset" ("dataset_id", "dataset_hash")
; CREATE INDEX IF NOT EXISTS "idx_file_record_repository_file_state_dataset_"
    ON "{prefix}data"."file_record" ("repository", "file_state", "dataset_id", "record_hash")
; DROP INDEX IF EXISTS "{prefix}data"."idx_file_record_repository" -- the new one begins with it
; END IF; END $do$;
