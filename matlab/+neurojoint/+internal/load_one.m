function values = load_one(connection, dataset)
%LOAD_ONE  The content of a dataset that `list` returned.
  if isempty(dataset.url)
    error('neurojoint:noCopy', 'The server has no copy of %s.', dataset.path);
  end
  [~, ~, extension] = neurojoint.internal.alf_parts(dataset.name);
  switch extension
    case 'npy'
      values = neurojoint.read_npy(neurojoint.internal.request(connection, dataset.url));
    case {'pqt', 'parquet'}
      names = jsondecode(char(neurojoint.internal.request(connection, [dataset.url '?column='])));
      values = struct();
      for i = 1:numel(names)
        address = [dataset.url '?column=' neurojoint.internal.escape(names{i})];
        field = regexprep(names{i}, '\W', '_');
        values.(field) = neurojoint.read_npy(neurojoint.internal.request(connection, address));
      end
    otherwise
      values = neurojoint.internal.request(connection, dataset.url);
  end
end
