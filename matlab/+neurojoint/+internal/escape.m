function text = escape(value)
%ESCAPE  A value as part of an address.
  if isnumeric(value)
    value = sprintf('%d', value);
  end
  bytes = double(value);
  if ~exist('OCTAVE_VERSION', 'builtin')
    bytes = double(unicode2native(value, 'UTF-8'));
  end
  parts = cell(1, numel(bytes));
  for i = 1:numel(bytes)
    one = mod(bytes(i), 256);
    if any(one == double('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~,'))
      parts{i} = char(one);
    else
      parts{i} = sprintf('%%%02X', one);
    end
  end
  text = [parts{:}];
end
