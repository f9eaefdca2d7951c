function object = load_object(connection, eid, name, collection)
%LOAD_OBJECT  All attributes of an ALF object, as a struct.
%   OBJECT = neurojoint.load_object(CONNECTION, EID, NAME) loads e.g. 'trials': a field for each attribute, in the
%   default revision. The columns of a table (trials.table.pqt) become fields too; single files take precedence.
%   COLLECTION says which folder is meant where the object is in several.
  if nargin < 4
    collection = [];
  end
  [~, datasets] = neurojoint.list(connection, eid);
  chosen = {};
  for i = 1:numel(datasets)
    one = datasets{i};
    [own, ~, extension] = neurojoint.internal.alf_parts(one.name);
    is_array = any(strcmp(extension, {'npy', 'pqt'}));
    if one.default && strcmp(own, name) && is_array && (isempty(collection) || strcmp(one.collection, collection))
      chosen{end + 1} = one; %#ok<AGROW>
    end
  end
  if isempty(chosen)
    error('neurojoint:notFound', 'The session %s has no object %s.', eid, name);
  end
  places = unique(cellfun(@(one) one.collection, chosen, 'UniformOutput', false));
  if numel(places) > 1
    error('neurojoint:several', '%s is in several collections: %s. Name one.', name, strjoin(places, ', '));
  end
  object = struct();
  single = struct();
  for i = 1:numel(chosen)
    [~, attribute] = neurojoint.internal.alf_parts(chosen{i}.name);
    values = neurojoint.internal.load_one(connection, chosen{i});
    if strcmp(attribute, 'table') && isstruct(values)
      columns = fieldnames(values);
      for j = 1:numel(columns)
        object.(columns{j}) = values.(columns{j});
      end
    else
      single.(attribute) = values;
    end
  end
  attributes = fieldnames(single);
  for i = 1:numel(attributes)
    object.(attributes{i}) = single.(attributes{i});
  end
end
