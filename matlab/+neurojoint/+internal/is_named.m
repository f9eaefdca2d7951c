function found = is_named(file, name)
%IS_NAMED  Whether a file is called like that: its whole name, or `object.attribute`.
  [object, attribute] = neurojoint.internal.alf_parts(file);
  found = strcmp(file, name) || strcmp([object '.' attribute], name);
end
