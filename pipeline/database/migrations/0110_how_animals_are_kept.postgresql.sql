-- How animals are kept, as the analyses of training need it: light, protein in the food, water on days off.
ALTER TABLE IF EXISTS "{prefix}lab"."lab" ADD COLUMN "lab_light_cycle" varchar(32) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}lab"."lab"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}lab"."lab"."lab_light_cycle" IS ':varchar(32):of animals that state none: normal, inverted'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}lab"."lab" ADD COLUMN "lab_food_protein" double precision DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}lab"."lab"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}lab"."lab"."lab_food_protein" IS ':float64:protein in the food of animals that state none, percent of its mass'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}lab"."lab" ADD COLUMN "lab_weekend_water" varchar(64) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}lab"."lab"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}lab"."lab"."lab_weekend_water" IS ':varchar(64):on days off, of animals that state none: measured, citric acid, free'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "food_protein" double precision DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."food_protein" IS ':float64:protein in the food, percent of its mass; null: as the lab says'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "weekend_water" varchar(64) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."weekend_water" IS ':varchar(64):on days off: measured, citric acid, free; empty: as the lab says'
; END IF; END $do$;
