function [names, datasets] = list(connection, eid)
%LIST  The datasets of a session.
%   NAMES = neurojoint.list(CONNECTION, EID) returns their paths below the session, in order. [NAMES, DATASETS] = ...
%   also returns a cell array of structs: id, path, collection, revision, name, default (logical), url.
  rows = neurojoint.internal.pages(connection, ['/datasets?session=' neurojoint.internal.escape(eid)]);
  names = cell(numel(rows), 1);
  datasets = cell(numel(rows), 1);
  for i = 1:numel(rows)
    row = rows{i};
    revision = neurojoint.internal.text(row, 'revision');
    folders = {neurojoint.internal.text(row, 'collection')};
    if ~isempty(revision)
      folders{end + 1} = ['#' revision '#'];
    end
    parts = [folders {row.name}];
    parts = parts(~cellfun(@isempty, parts));
    names{i} = strjoin(parts, '/');
    is_default = ~isfield(row, 'default_dataset') || logical(row.default_dataset);
    datasets{i} = struct('id', neurojoint.internal.last_part(row.url), 'path', names{i}, 'collection', folders{1}, ...
                         'revision', revision, 'name', row.name, 'default', is_default, ...
                         'url', neurojoint.internal.data_url(row));
  end
  [names, order] = sort(names);
  datasets = datasets(order);
end
