function [eids, sessions] = search(connection, varargin)
%SEARCH  Find sessions.
%   EIDS = neurojoint.search(CONNECTION, 'subject', 'KS014', ...) returns the identifiers of the sessions that fit all
%   that is given, as a cell array. [EIDS, SESSIONS] = ... also returns what the server says of each, as structs.
%
%   Names are those of the REST interface: subject, lab, date_range ('2020-01-01,2020-01-31'), number, task_protocol,
%   project, dataset, users, ...
  if mod(numel(varargin), 2)
    error('neurojoint:search', 'Names and values come in pairs.');
  end
  query = cell(1, numel(varargin) / 2);
  for i = 1:numel(query)
    query{i} = [varargin{2*i - 1} '=' neurojoint.internal.escape(varargin{2*i})];
  end
  rows = neurojoint.internal.pages(connection, ['/sessions?' strjoin(query, '&')]);
  eids = cell(numel(rows), 1);
  for i = 1:numel(rows)
    parts = strsplit(rows{i}.url, '/');
    parts = parts(~cellfun(@isempty, parts));
    eids{i} = parts{end};
  end
  sessions = rows;
end
