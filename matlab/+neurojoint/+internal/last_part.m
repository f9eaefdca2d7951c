function part = last_part(url)
%LAST_PART  What follows the last slash of an address.
  parts = strsplit(url, '/');
  parts = parts(~cellfun(@isempty, parts));
  part = parts{end};
end
