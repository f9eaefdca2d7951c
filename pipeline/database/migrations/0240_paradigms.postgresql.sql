-- Trials name the lab's own description of their task.
ALTER TABLE IF EXISTS "{prefix}behavior"."_trial_set" ADD COLUMN "paradigm" varchar(32) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_trial_set"."paradigm" IS ':varchar(32):of the description that the lab gives of the task; empty without one'
; END IF; END $do$;
