-- Trials are checked across their columns, wheels say what was repaired, and rule sets what a no-go is.
ALTER TABLE IF EXISTS "{prefix}behavior"."_trial_set" ADD COLUMN "trials_protocol" varchar(255) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_trial_set"."trials_protocol" IS ':varchar(255):of the task whose trials these are, as the rig names it'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_trial_set" ADD COLUMN "task_kind" varchar(32) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_trial_set"."task_kind" IS ':varchar(32):of the protocol: training, biased, ephys, passive, habituation, other'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_trial_set" ADD COLUMN "trials_qc" varchar(8) NOT NULL DEFAULT 'NOT_SET';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_trial_set"."trials_qc" IS ':varchar(8):worst outcome of the checks: PASS, WARNING, FAIL; NOT_SET: none made'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_trial_set" ADD COLUMN "trials_checks" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_trial_set"."trials_checks" IS ':json:list of what was checked: check, outcome, n_trials, detail in words'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_wheel_move_set" ADD COLUMN "wheel_dropped" integer NOT NULL DEFAULT 0;
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_wheel_move_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_wheel_move_set"."wheel_dropped" IS ':int32:samples left out: their time is missing or not after the one before'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_wheel_move_set" ADD COLUMN "wheel_qc" varchar(8) NOT NULL DEFAULT 'NOT_SET';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_wheel_move_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_wheel_move_set"."wheel_qc" IS ':varchar(8):PASS; WARNING: something was repaired, or is faster than a mouse'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_wheel_move_set" ADD COLUMN "wheel_notes" varchar(1000) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_wheel_move_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_wheel_move_set"."wheel_notes" IS ':varchar(1000):what was repaired or is odd, in words'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}behavior"."_wheel_move_set" ALTER COLUMN "wheel_unit" TYPE varchar(8) USING "wheel_unit"::text;
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_wheel_move_set"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}behavior"."_wheel_move_set"."wheel_unit" IS ':varchar(8):of the positions in the file: rad, cm, mm, deg, ticks; here all is rad'
; END IF; END $do$;
DO $do$ BEGIN IF to_regclass('"{prefix}behavior_analysis"."#training_criteria"') IS NOT NULL THEN
  UPDATE "{prefix}behavior_analysis"."#training_criteria" SET "rules" = "rules"::jsonb || '{"no_go": "wrong", "ignored_qc": ["FAIL"]}'
    WHERE "criteria" IN ('ibl_pipeline_2021', 'ibllib_4') AND "criteria_version" = 1
; END IF; END $do$;
