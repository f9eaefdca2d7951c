-- What an animal drinks while its water is restricted stands in water_restriction__water alone, where REST has it.
-- after declaring
INSERT INTO "{prefix}action"."water_restriction__water" ("lab", "subject", "restriction_start", "water_type")
  SELECT "lab", "subject", "restriction_start", "restriction_water" FROM "{prefix}action"."restriction_detail" AS d
  WHERE d."restriction_water" IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM "{prefix}action"."water_restriction__water" AS w WHERE w."lab" = d."lab" AND w."subject" = d."subject" AND w."restriction_start" = d."restriction_start");
UPDATE "{prefix}action"."restriction_detail" SET "restriction_water" = NULL WHERE "restriction_water" IS NOT NULL;
