-- Names that sorters give to units, and files to digital lines. A database without these tables declares them whole.
ALTER TABLE IF EXISTS "{prefix}ephys"."_cluster_set__cluster" ADD COLUMN IF NOT EXISTS "unit_name" varchar(64) DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}ephys"."_cluster_set__cluster"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys"."_cluster_set__cluster"."unit_name" IS ':varchar(64):name that the sorter gave it, where that is not just a number'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}ephys"."__session_clock__line" ADD COLUMN IF NOT EXISTS "line_name" varchar(128) DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}ephys"."__session_clock__line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys"."__session_clock__line"."line_name" IS ':varchar(128):what the file of the recording or a wiring file calls it'
; END IF; END $do$;
