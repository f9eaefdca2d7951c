-- The kinds of repositories are a list of the program, which grows with its backends.
ALTER TABLE "{prefix}data"."repository" ALTER COLUMN "repository_kind" TYPE varchar(16) USING "repository_kind"::text;
COMMENT ON COLUMN "{prefix}data"."repository"."repository_kind" IS ':varchar(16):how it is reached: local, ssh, sftp, s3, http, globus';
COMMENT ON COLUMN "{prefix}data"."repository"."repository_host" IS ':varchar(255):the computer, user@host, or the collection of Globus';
