-- What the colony pages keep: names by pattern, work lists, counts of litters, where a genotype is from.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'line');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`line`
  ADD COLUMN `line_nickname` varchar(32) NOT NULL DEFAULT "" COMMENT ":varchar(32):begins the names of its animals, pairs and litters",
  ADD COLUMN `strain_code` varchar(64) NOT NULL DEFAULT "" COMMENT ":varchar(64):of the animal facility",
  ADD COLUMN `source_url` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):where it is described",
  ADD COLUMN `expression_url` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):where its expression is shown",
  ADD COLUMN `name_pattern` varchar(64) NOT NULL DEFAULT "" COMMENT ":varchar(64):of its animals, e.g. {nickname}_{number:04d}",
  ADD COLUMN `last_animal` int NOT NULL DEFAULT 0 COMMENT ":int32:counter of names",
  ADD COLUMN `last_pair` int NOT NULL DEFAULT 0 COMMENT ":int32:counter of names",
  ADD COLUMN `last_litter` int NOT NULL DEFAULT 0 COMMENT ":int32:counter of names"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'subject');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`subject`
  ADD COLUMN `to_be_genotyped` tinyint NOT NULL DEFAULT 0 COMMENT ":bool:is on the list of animals to genotype",
  ADD COLUMN `to_be_culled` tinyint NOT NULL DEFAULT 0 COMMENT ":bool:is on the list of animals to cull",
  ADD COLUMN `genotype_date` date DEFAULT NULL COMMENT ":date:when the sample was taken or the result known",
  ADD COLUMN `reduced_date` date DEFAULT NULL COMMENT ":date:when the animal was taken out of the stock",
  ADD COLUMN `actual_severity` int DEFAULT NULL COMMENT ":int32:1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'litter');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`litter`
  ADD COLUMN `n_born` int DEFAULT NULL COMMENT ":int32:pups that were born",
  ADD COLUMN `n_weaned` int DEFAULT NULL COMMENT ":int32:pups that were weaned",
  ADD COLUMN `litter_wean_date` date DEFAULT NULL COMMENT ":date:when they were weaned"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}subject' AND table_name = 'genotype');
SET @change = IF(@there, 'ALTER TABLE `{prefix}subject`.`genotype`
  ADD COLUMN `genotype_origin` varchar(16) NOT NULL DEFAULT "entered" COMMENT ":varchar(16):entered, tests or parents; what follows from tests goes with them"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
