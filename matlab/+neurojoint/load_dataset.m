function values = load_dataset(connection, eid, name, collection)
%LOAD_DATASET  The content of one dataset of a session.
%   VALUES = neurojoint.load_dataset(CONNECTION, EID, NAME) loads the dataset whose path is NAME, or whose file name is
%   NAME, or 'object.attribute', in its default revision. With COLLECTION only that folder is looked in.
%
%   A .npy file is an array, with the shape that Python shows, but for vectors, which are columns. A Parquet table is a
%   struct with a field for each column. Other files are returned as uint8 bytes.
  if nargin < 4
    collection = [];
  end
  [~, datasets] = neurojoint.list(connection, eid);
  found = {};
  for i = 1:numel(datasets)
    one = datasets{i};
    is_named = strcmp(one.path, name) || (one.default && neurojoint.internal.is_named(one.name, name));
    if is_named && (isempty(collection) || strcmp(one.collection, collection))
      found{end + 1} = one; %#ok<AGROW>
    end
  end
  if isempty(found)
    error('neurojoint:notFound', 'The session %s has no dataset %s.', eid, name);
  elseif numel(found) > 1
    paths = cellfun(@(one) one.path, found, 'UniformOutput', false);
    error('neurojoint:several', 'Several datasets fit: %s. Name the collection.', strjoin(paths, ', '));
  end
  values = neurojoint.internal.load_one(connection, found{1});
end
