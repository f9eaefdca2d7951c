-- What other programs keep with a dataset.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}data' AND table_name = 'dataset');
SET @change = IF(@there, 'ALTER TABLE `{prefix}data`.`dataset`
  ADD COLUMN `dataset_json` json DEFAULT NULL COMMENT ":json:what other programs keep with the dataset"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
