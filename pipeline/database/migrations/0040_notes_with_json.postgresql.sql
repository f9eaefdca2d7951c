-- What other programs keep with a note, e.g. which picture of the quality control it shows.
ALTER TABLE IF EXISTS "{prefix}action"."note" ADD COLUMN "note_json" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}action"."note"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}action"."note"."note_json" IS ':json:what other programs keep with the note'
; END IF; END $do$;
