-- The kinds of repositories are a list of the program, which grows with its backends.
ALTER TABLE `{prefix}data`.`repository`
  MODIFY COLUMN `repository_kind` varchar(16) NOT NULL COMMENT ':varchar(16):how it is reached: local, ssh, sftp, s3, http, globus',
  MODIFY COLUMN `repository_host` varchar(255) NOT NULL DEFAULT '' COMMENT ':varchar(255):the computer, user@host, or the collection of Globus';
