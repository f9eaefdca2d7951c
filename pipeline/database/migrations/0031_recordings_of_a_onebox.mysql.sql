-- ephys.Recording knows the auxiliary channels of a OneBox. A database without this table declares it whole.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}ephys' AND table_name = 'recording');
SET @change = IF(@there, 'ALTER TABLE `{prefix}ephys`.`recording`
  MODIFY COLUMN `band` enum("ap","lf","nidq","obx") NOT NULL COMMENT "action potentials, local field, auxiliary channels of a NIDQ or a OneBox"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
