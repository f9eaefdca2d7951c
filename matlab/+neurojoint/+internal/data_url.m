function url = data_url(row)
%DATA_URL  Where a dataset can be downloaded; empty where the server has no copy.
  url = '';
  if ~isfield(row, 'file_records') || isempty(row.file_records)
    return
  end
  records = row.file_records;
  if ~iscell(records)
    records = num2cell(records);
  end
  for i = 1:numel(records)
    one = records{i};
    if isfield(one, 'data_url') && ischar(one.data_url) && ~isempty(one.data_url) && ...
        (~isfield(one, 'exists') || logical(one.exists))
      url = one.data_url;
      return
    end
  end
end
