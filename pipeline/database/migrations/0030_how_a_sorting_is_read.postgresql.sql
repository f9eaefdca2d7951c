-- How the files of a clustering are to be read, and where its units lie. A database without these tables declares them whole.
ALTER TABLE IF EXISTS "{prefix}ephys"."clustering" ADD COLUMN "clustering_reading" jsonb DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}ephys"."clustering"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys"."clustering"."clustering_reading" IS ':json:which unit a row is and how that was found, factors of units of measurement, repairs, doubts'
; END IF; END $do$;
ALTER TABLE IF EXISTS "{prefix}ephys"."_cluster_set__cluster" ADD COLUMN "cluster_lateral" double precision DEFAULT NULL;
ALTER TABLE IF EXISTS "{prefix}ephys"."_cluster_set__cluster" ADD COLUMN "cluster_shank" smallint DEFAULT NULL;
ALTER TABLE IF EXISTS "{prefix}ephys"."_cluster_set__cluster" ADD COLUMN "sorter_cluster_id" integer DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}ephys"."_cluster_set__cluster"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys"."_cluster_set__cluster"."cluster_lateral" IS ':float64:across the shank, um, as channels.localCoordinates or the map has it'
; COMMENT ON COLUMN "{prefix}ephys"."_cluster_set__cluster"."cluster_shank" IS ':int16:from 0; null where no file says it'
; COMMENT ON COLUMN "{prefix}ephys"."_cluster_set__cluster"."sorter_cluster_id" IS ':int32:number that the sorter gave it, where that differs from cluster_id'
; END IF; END $do$;
