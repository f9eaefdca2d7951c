-- What the files of ephys analyses lack, in words. A database that has no such tables yet declares them whole.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys_analysis' AND table_name = '__unit_metrics');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys_analysis`.`__unit_metrics`
  ADD COLUMN `metrics_missing` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):what is null for all units, and what the files lack; empty: nothing"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys_analysis' AND table_name = '__peth');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys_analysis`.`__peth`
  ADD COLUMN `peth_missing` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):why there are no events, splits or responses; empty: all are there"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys_analysis' AND table_name = '__depth_peth');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys_analysis`.`__depth_peth`
  ADD COLUMN `depth_peth_missing` varchar(255) NOT NULL DEFAULT "" COMMENT ":varchar(255):why there are no arrays; empty where there are"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys_analysis' AND table_name = '__drift_map');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys_analysis`.`__drift_map`
  ADD COLUMN `drift_missing` varchar(255) NOT NULL DEFAULT "" COMMENT ":varchar(255):why arrays are absent; empty where none is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
