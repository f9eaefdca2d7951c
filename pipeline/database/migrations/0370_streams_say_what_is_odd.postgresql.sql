-- Licks, cameras, pupils and the air say what was repaired or is odd. A database without these tables declares them whole.
ALTER TABLE IF EXISTS "{prefix}behavior"."_lick" ADD COLUMN IF NOT EXISTS "lick_notes" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_lick"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_lick"."lick_notes" IS ':varchar(500):what was repaired or is odd, in words; empty where nothing is'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_camera__view" ADD COLUMN IF NOT EXISTS "camera_notes" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_camera__view"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_camera__view"."camera_notes" IS ':varchar(500):what was repaired or is odd, in words; empty where nothing is'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_pupil__view" ADD COLUMN IF NOT EXISTS "pupil_notes" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_pupil__view"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_pupil__view"."pupil_notes" IS ':varchar(500):what was left out or is odd, in words; empty where nothing is'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_ambient_sensor" ADD COLUMN IF NOT EXISTS "ambient_notes" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_ambient_sensor"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_ambient_sensor"."ambient_notes" IS ':varchar(500):what was left out or is missing, in words; empty where nothing is'
; END IF; END $do$;
