-- What other programs keep with a repository, e.g. how the lab server that holds it is.
ALTER TABLE IF EXISTS "{prefix}data"."repository" ADD COLUMN "repository_json" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}data"."repository"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}data"."repository"."repository_json" IS ':json:what other programs keep with it, e.g. how the lab server that holds it is'
; END IF; END $do$;
