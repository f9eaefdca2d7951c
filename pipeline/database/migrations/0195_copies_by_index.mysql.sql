-- Which datasets lack a good copy in a repository is told by two indexes, without reading the rows.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}data' AND table_name = 'dataset') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}data' AND table_name = 'dataset' AND index_name = 'dataset_and_hash');
SET @change = IF(@there, 'CREATE INDEX `dataset_and_hash` ON `{prefix}data`.`dataset` (`dataset_id`, `dataset_hash`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}data' AND table_name = 'file_record') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}data' AND table_name = 'file_record' AND index_name = 'record_and_hash');
SET @change = IF(@there, 'CREATE INDEX `record_and_hash` ON `{prefix}data`.`file_record` (`repository`, `file_state`, `dataset_id`, `record_hash`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
