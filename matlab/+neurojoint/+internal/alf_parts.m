function [object, attribute, extension] = alf_parts(name)
%ALF_PARTS  Object, attribute (with its time scale) and extension of an ALF file name.
  parts = strsplit(name, '.');
  object = regexprep(parts{1}, '^_[a-zA-Z0-9]+_', '');
  attribute = '';
  if numel(parts) > 1
    attribute = regexprep(parts{2}, '\W', '_');
  end
  extension = parts{end};
end
