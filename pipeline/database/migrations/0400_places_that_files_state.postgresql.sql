-- Which locations of fields of view were read from files, and not entered.
ALTER TABLE IF EXISTS "{prefix}imaging"."field_location" ADD COLUMN IF NOT EXISTS "location_of_files" boolean NOT NULL DEFAULT FALSE;
DO $do$ BEGIN IF to_regclass('"{prefix}imaging"."field_location"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}imaging"."field_location"."location_of_files"
    IS ':bool:the files of its folder said it, and nobody has entered it'
; END IF; END $do$;
