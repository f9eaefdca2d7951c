-- What other programs keep with a dataset.
ALTER TABLE IF EXISTS "{prefix}data"."dataset" ADD COLUMN "dataset_json" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}data"."dataset"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}data"."dataset"."dataset_json" IS ':json:what other programs keep with the dataset'
; END IF; END $do$;
