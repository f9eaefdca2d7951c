function value = text(row, name)
%TEXT  A field of a row as text, empty where it is null or absent.
  value = '';
  if isfield(row, name) && ischar(row.(name))
    value = row.(name);
  end
end
