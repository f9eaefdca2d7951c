function values = read_npy(source)
%READ_NPY  Read a .npy file, or the bytes of one.
%   VALUES = neurojoint.read_npy(PATH) or neurojoint.read_npy(BYTES), with BYTES a uint8 vector.
%
%   Numbers keep their type; truth values are logical; text is a cell array. Arrays have the shape that Python shows,
%   in either order of storage; vectors are columns. Python objects are refused: they are never unpickled.
  if ischar(source)
    file = fopen(source, 'r');
    if file < 0
      error('neurojoint:npy', 'There is no file %s.', source);
    end
    bytes = fread(file, Inf, 'uint8=>uint8')';
    fclose(file);
  else
    bytes = reshape(uint8(source), 1, []);
  end
  if numel(bytes) < 10 || ~isequal(bytes(1:6), uint8([147 'NUMPY']))
    error('neurojoint:npy', 'This is no .npy file.');
  end
  if bytes(7) == 1
    first = 10;
    header_size = double(bytes(9)) + 256 * double(bytes(10));
  else
    first = 12;
    header_size = double(typecast(bytes(9:12), 'uint32'));
  end
  if numel(bytes) < first + header_size
    error('neurojoint:npy', 'The file ends within its header.');
  end
  header = char(bytes(first + 1:first + header_size));
  type = regexp(header, '''descr'':\s*''([<>|=])(\w)(\d+)''', 'tokens', 'once');
  order = regexp(header, '''fortran_order'':\s*(True|False)', 'tokens', 'once');
  shape = regexp(header, '''shape'':\s*\(([\d,\s]*)\)', 'tokens', 'once');
  if isempty(type) || isempty(order) || isempty(shape)
    error('neurojoint:npy', 'Arrays of this kind cannot be read: %s', header);
  end
  size_of = str2double(regexp(shape{1}, '\d+', 'match'));
  count = prod(size_of);
  width = str2double(type{3});
  body = bytes(first + header_size + 1:end);
  item = width * (1 + 3 * (type{2} == 'U'));
  if numel(body) < count * item
    error('neurojoint:npy', 'The file ends after %d of %d bytes.', numel(body), count * item);
  end
  body = body(1:count * item);
  values = convert(body, type{2}, width, type{1} == '>');
  if numel(size_of) > 1
    if strcmp(order{1}, 'True')
      values = reshape(values, size_of);
    else
      values = permute(reshape(values, fliplr(size_of)), numel(size_of):-1:1);
    end
  else
    values = reshape(values, [], 1);
  end
end

function values = convert(body, kind, width, is_big)
  names = struct('f', {{'', '', '', 'single', '', '', '', 'double'}}, ...
                 'i', {{'int8', 'int16', '', 'int32', '', '', '', 'int64'}}, ...
                 'u', {{'uint8', 'uint16', '', 'uint32', '', '', '', 'uint64'}});
  switch kind
    case 'b'
      values = body ~= 0;
    case {'f', 'i', 'u'}
      if width > 8 || isempty(names.(kind){width})
        error('neurojoint:npy', 'Numbers of type %s%d cannot be read.', kind, width);
      end
      values = typecast(body, names.(kind){width});
      if is_big
        values = swapbytes(values);
      end
    case 'U'
      codes = typecast(body, 'uint32');
      if is_big
        codes = swapbytes(codes);
      end
      codes = reshape(codes, width, []);
      values = cell(size(codes, 2), 1);
      for i = 1:size(codes, 2)
        own = codes(codes(:, i) ~= 0, i)';
        values{i} = to_text(own);
      end
    otherwise
      error('neurojoint:npy', 'Values of type %s cannot be read.', kind);
  end
end

function text = to_text(codes)
  if all(codes < 128)
    text = char(codes);
  elseif exist('OCTAVE_VERSION', 'builtin')
    text = unicode2native_utf8(codes);
  else
    text = native2unicode(unicode2native_utf8(codes), 'UTF-8');
  end
end

function bytes = unicode2native_utf8(codes)
  % The bytes of UTF-8, which is how Octave keeps text.
  parts = cell(1, numel(codes));
  for i = 1:numel(codes)
    c = double(codes(i));
    if c < 128
      parts{i} = c;
    elseif c < 2048
      parts{i} = [192 + floor(c / 64), 128 + mod(c, 64)];
    elseif c < 65536
      parts{i} = [224 + floor(c / 4096), 128 + mod(floor(c / 64), 64), 128 + mod(c, 64)];
    else
      parts{i} = [240 + floor(c / 262144), 128 + mod(floor(c / 4096), 64), 128 + mod(floor(c / 64), 64), ...
                  128 + mod(c, 64)];
    end
  end
  if exist('OCTAVE_VERSION', 'builtin')
    bytes = char([parts{:}]);
  else
    bytes = uint8([parts{:}]);
  end
end
