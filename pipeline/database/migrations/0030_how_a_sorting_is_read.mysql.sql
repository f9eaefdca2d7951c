-- How the files of a clustering are to be read, and where its units lie. A database without these tables declares them whole.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys' AND table_name = 'clustering');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys`.`clustering`
  ADD COLUMN `clustering_reading` json DEFAULT NULL COMMENT ":json:which unit a row is and how that was found, factors of units of measurement, repairs, doubts"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys' AND table_name = '_cluster_set__cluster');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys`.`_cluster_set__cluster`
  ADD COLUMN `cluster_lateral` double DEFAULT NULL COMMENT ":float64:across the shank, um, as channels.localCoordinates or the map has it",
  ADD COLUMN `cluster_shank` smallint DEFAULT NULL COMMENT ":int16:from 0; null where no file says it",
  ADD COLUMN `sorter_cluster_id` int DEFAULT NULL COMMENT ":int32:number that the sorter gave it, where that differs from cluster_id"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
