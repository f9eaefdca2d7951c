-- What a protocol allows of operations and volumes.
ALTER TABLE IF EXISTS "{prefix}subject"."protocol" ADD COLUMN "operation_limit" integer NOT NULL DEFAULT 0;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."protocol"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."protocol"."operation_limit" IS ':int32:most operations of an animal; 0: not limited'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."protocol" ADD COLUMN "injection_limit" double precision NOT NULL DEFAULT '0'::double precision;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."protocol"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."protocol"."injection_limit" IS ':float64:most that is injected into the brain of an animal, nL; 0: not limited'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}subject"."protocol" ADD COLUMN "drug_volume_limit" double precision NOT NULL DEFAULT '0'::double precision;
DO $do$ BEGIN IF to_regclass('"{prefix}subject"."protocol"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}subject"."protocol"."drug_volume_limit" IS ':float64:most volume of a drug at once, mL/kg; 0: not limited'
; END IF; END $do$;
