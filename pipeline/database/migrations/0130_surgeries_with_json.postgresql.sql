-- What other programs keep with an operation.
ALTER TABLE IF EXISTS "{prefix}action"."surgery" ADD COLUMN "surgery_json" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}action"."surgery"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}action"."surgery"."surgery_json" IS ':json:what other programs keep with the operation'
; END IF; END $do$;
