-- Names that sorters give to units, and files to digital lines. A database without these tables declares them whole.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys' AND table_name = '_cluster_set__cluster');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys`.`_cluster_set__cluster`
  ADD COLUMN `unit_name` varchar(64) DEFAULT NULL COMMENT ":varchar(64):name that the sorter gave it, where that is not just a number"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys' AND table_name = '__session_clock__line');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys`.`__session_clock__line`
  ADD COLUMN `line_name` varchar(128) DEFAULT NULL COMMENT ":varchar(128):what the file of the recording or a wiring file calls it"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
