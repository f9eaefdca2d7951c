-- Whether a copy of a dataset is online, beside the dataset, and one index that answers searches by file name.
ALTER TABLE `{prefix}data`.`dataset`
  ADD COLUMN `dataset_online` tinyint NOT NULL DEFAULT 0 COMMENT ':bool:one of its FileRecords is online; see `note_online`',
  DROP INDEX `rel_path`,
  ADD INDEX `rel_path` (`rel_path`, `lab`, `subject`, `session_date`, `session_number`, `dataset_online`, `dataset_qc`);
UPDATE `{prefix}data`.`dataset` SET `dataset_online` = 1
  WHERE `dataset_id` IN (SELECT `dataset_id` FROM `{prefix}data`.`file_record` WHERE `file_state` = 'online');
