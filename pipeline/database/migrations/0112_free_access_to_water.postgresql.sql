-- Free access to water has an end; a kind of water has one spelling.
ALTER TABLE IF EXISTS "{prefix}action"."water_administration" ADD COLUMN "adlib_end" timestamp(6) DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}action"."water_administration"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}action"."water_administration"."adlib_end" IS ':datetime(6):end of free access, UTC; null: of that day only'
; END IF; END $do$;
-- after declaring
UPDATE "{prefix}action"."water_administration" SET "water_type" = 'Water 1% Citric Acid' WHERE "water_type" = 'Citric Acid Water 1%';
UPDATE "{prefix}action"."restriction_detail" SET "restriction_water" = 'Water 1% Citric Acid' WHERE "restriction_water" = 'Citric Acid Water 1%';
DELETE FROM "{prefix}action"."#water_type" WHERE "water_type" = 'Citric Acid Water 1%';
UPDATE "{prefix}action"."water_administration" SET "water_type" = 'Water 2% Citric Acid' WHERE "water_type" = 'Citric Acid Water 2%';
UPDATE "{prefix}action"."restriction_detail" SET "restriction_water" = 'Water 2% Citric Acid' WHERE "restriction_water" = 'Citric Acid Water 2%';
DELETE FROM "{prefix}action"."#water_type" WHERE "water_type" = 'Citric Acid Water 2%';
UPDATE "{prefix}action"."water_administration" SET "water_type" = 'Water 3% Citric Acid' WHERE "water_type" = 'Citric Acid Water 3%';
UPDATE "{prefix}action"."restriction_detail" SET "restriction_water" = 'Water 3% Citric Acid' WHERE "restriction_water" = 'Citric Acid Water 3%';
DELETE FROM "{prefix}action"."#water_type" WHERE "water_type" = 'Citric Acid Water 3%';
