function rows = pages(connection, address)
%PAGES  All rows of a list of the server, a cell array of structs, page after page.
  step = 250;
  rows = {};
  joint = '&';
  if isempty(strfind(address, '?')) %#ok<STREMP>
    joint = '?';
  end
  while true
    text = neurojoint.internal.request(connection, sprintf('%s%slimit=%d&offset=%d', address, joint, step, numel(rows)));
    answer = jsondecode(char(text));
    if isstruct(answer) && isfield(answer, 'results')
      total = answer.count;
      answer = answer.results;
    else
      total = [];
    end
    if iscell(answer)
      more = reshape(answer, 1, []);
    elseif isempty(answer)
      more = {};
    else
      more = reshape(num2cell(answer), 1, []);
    end
    rows = [rows more]; %#ok<AGROW>
    if isempty(more) || isempty(total) || numel(rows) >= total
      return
    end
  end
end
