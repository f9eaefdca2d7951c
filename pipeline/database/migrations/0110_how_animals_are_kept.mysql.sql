-- How animals are kept, as the analyses of training need it: light, protein in the food, water on days off.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}lab' AND table_name = 'lab');
SET @change = IF(@there, 'ALTER TABLE `{prefix}lab`.`lab`
  ADD COLUMN `lab_light_cycle` varchar(32) NOT NULL DEFAULT "" COMMENT ":varchar(32):of animals that state none: normal, inverted",
  ADD COLUMN `lab_food_protein` double DEFAULT NULL COMMENT ":float64:protein in the food of animals that state none, percent of its mass",
  ADD COLUMN `lab_weekend_water` varchar(64) NOT NULL DEFAULT "" COMMENT ":varchar(64):on days off, of animals that state none: measured, citric acid, free"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'subject');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`subject`
  ADD COLUMN `food_protein` double DEFAULT NULL COMMENT ":float64:protein in the food, percent of its mass; null: as the lab says",
  ADD COLUMN `weekend_water` varchar(64) NOT NULL DEFAULT "" COMMENT ":varchar(64):on days off: measured, citric acid, free; empty: as the lab says"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
