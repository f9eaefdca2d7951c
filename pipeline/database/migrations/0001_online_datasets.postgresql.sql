-- Whether a copy of a dataset is online, beside the dataset, and one index that answers searches by file name.
ALTER TABLE "{prefix}data"."dataset" ADD COLUMN "dataset_online" boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN "{prefix}data"."dataset"."dataset_online" IS ':bool:one of its FileRecords is online; see `note_online`';
UPDATE "{prefix}data"."dataset" SET "dataset_online" = true
  WHERE "dataset_id" IN (SELECT "dataset_id" FROM "{prefix}data"."file_record" WHERE "file_state" = 'online');
DROP INDEX IF EXISTS "{prefix}data"."idx_dataset_rel_path";
CREATE INDEX "idx_dataset_rel_path_lab_subject_session_d" ON "{prefix}data"."dataset"
  ("rel_path", "lab", "subject", "session_date", "session_number", "dataset_online", "dataset_qc");
