-- What a protocol allows of operations and volumes.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'protocol');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`protocol`
  ADD COLUMN `operation_limit` int NOT NULL DEFAULT 0 COMMENT ":int32:most operations of an animal; 0: not limited",
  ADD COLUMN `injection_limit` double NOT NULL DEFAULT 0 COMMENT ":float64:most that is injected into the brain of an animal, nL; 0: not limited",
  ADD COLUMN `drug_volume_limit` double NOT NULL DEFAULT 0 COMMENT ":float64:most volume of a drug at once, mL/kg; 0: not limited"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
