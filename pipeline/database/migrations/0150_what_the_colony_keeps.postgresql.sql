-- What the colony pages keep: names by pattern, work lists, counts of litters, where a genotype is from.
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "line_nickname" varchar(32) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."line_nickname" IS ':varchar(32):begins the names of its animals, pairs and litters'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "strain_code" varchar(64) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."strain_code" IS ':varchar(64):of the animal facility'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "source_url" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."source_url" IS ':varchar(500):where it is described'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "expression_url" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."expression_url" IS ':varchar(500):where its expression is shown'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "name_pattern" varchar(64) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."name_pattern" IS ':varchar(64):of its animals, e.g. {nickname}_{number:04d}'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "last_animal" integer NOT NULL DEFAULT 0;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."last_animal" IS ':int32:counter of names'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "last_pair" integer NOT NULL DEFAULT 0;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."last_pair" IS ':int32:counter of names'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."line" ADD COLUMN "last_litter" integer NOT NULL DEFAULT 0;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."line"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."line"."last_litter" IS ':int32:counter of names'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "to_be_genotyped" boolean NOT NULL DEFAULT false;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."to_be_genotyped" IS ':bool:is on the list of animals to genotype'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "to_be_culled" boolean NOT NULL DEFAULT false;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."to_be_culled" IS ':bool:is on the list of animals to cull'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "genotype_date" date DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."genotype_date" IS ':date:when the sample was taken or the result known'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "reduced_date" date DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."reduced_date" IS ':date:when the animal was taken out of the stock'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."subject" ADD COLUMN "actual_severity" integer DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."subject"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."subject"."actual_severity" IS ':int32:1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."litter" ADD COLUMN "n_born" integer DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."litter"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."litter"."n_born" IS ':int32:pups that were born'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."litter" ADD COLUMN "n_weaned" integer DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."litter"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."litter"."n_weaned" IS ':int32:pups that were weaned'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."litter" ADD COLUMN "litter_wean_date" date DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."litter"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."litter"."litter_wean_date" IS ':date:when they were weaned'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."genotype" ADD COLUMN "genotype_origin" varchar(16) NOT NULL DEFAULT 'entered';
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."genotype"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."genotype"."genotype_origin" IS ':varchar(16):entered, tests or parents; what follows from tests goes with them'
; END IF; END $do$;
