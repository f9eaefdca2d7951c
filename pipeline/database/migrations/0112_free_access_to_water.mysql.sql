-- Free access to water has an end; a kind of water has one spelling.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}action' AND table_name = 'water_administration');
SET @change = IF(@there, 'ALTER TABLE `{prefix}action`.`water_administration`
  ADD COLUMN `adlib_end` datetime(6) DEFAULT NULL COMMENT ":datetime(6):end of free access, UTC; null: of that day only"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
-- after declaring
UPDATE `{prefix}action`.`water_administration` SET `water_type` = 'Water 1% Citric Acid' WHERE `water_type` = 'Citric Acid Water 1%';
UPDATE `{prefix}action`.`restriction_detail` SET `restriction_water` = 'Water 1% Citric Acid' WHERE `restriction_water` = 'Citric Acid Water 1%';
DELETE FROM `{prefix}action`.`#water_type` WHERE `water_type` = 'Citric Acid Water 1%';
UPDATE `{prefix}action`.`water_administration` SET `water_type` = 'Water 2% Citric Acid' WHERE `water_type` = 'Citric Acid Water 2%';
UPDATE `{prefix}action`.`restriction_detail` SET `restriction_water` = 'Water 2% Citric Acid' WHERE `restriction_water` = 'Citric Acid Water 2%';
DELETE FROM `{prefix}action`.`#water_type` WHERE `water_type` = 'Citric Acid Water 2%';
UPDATE `{prefix}action`.`water_administration` SET `water_type` = 'Water 3% Citric Acid' WHERE `water_type` = 'Citric Acid Water 3%';
UPDATE `{prefix}action`.`restriction_detail` SET `restriction_water` = 'Water 3% Citric Acid' WHERE `restriction_water` = 'Citric Acid Water 3%';
DELETE FROM `{prefix}action`.`#water_type` WHERE `water_type` = 'Citric Acid Water 3%';
