-- What the files of ephys analyses lack, in words. A database that has no such tables yet declares them whole.
ALTER TABLE IF EXISTS "{prefix}ephys_analysis"."__unit_metrics" ADD COLUMN "metrics_missing" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}ephys_analysis"."__unit_metrics"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys_analysis"."__unit_metrics"."metrics_missing" IS ':varchar(500):what is null for all units, and what the files lack; empty: nothing'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}ephys_analysis"."__peth" ADD COLUMN "peth_missing" varchar(500) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}ephys_analysis"."__peth"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys_analysis"."__peth"."peth_missing" IS ':varchar(500):why there are no events, splits or responses; empty: all are there'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}ephys_analysis"."__depth_peth" ADD COLUMN "depth_peth_missing" varchar(255) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}ephys_analysis"."__depth_peth"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys_analysis"."__depth_peth"."depth_peth_missing" IS ':varchar(255):why there are no arrays; empty where there are'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}ephys_analysis"."__drift_map" ADD COLUMN "drift_missing" varchar(255) NOT NULL DEFAULT '';
DO $do$ BEGIN IF to_regclass('"{prefix}ephys_analysis"."__drift_map"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys_analysis"."__drift_map"."drift_missing" IS ':varchar(255):why arrays are absent; empty where none is'
; END IF; END $do$;
