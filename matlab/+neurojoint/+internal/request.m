function bytes = request(connection, url)
%REQUEST  The content behind an address of the server, as uint8 bytes.
  if url(1) == '/'
    url = [connection.url url];
  end
  url = strrep(url, '#', '%23'); % of the folders of revisions
  is_octave = exist('OCTAVE_VERSION', 'builtin') ~= 0;
  given = {'Timeout', 60};
  if ~isempty(connection.token)
    if strncmp(url, connection.url, numel(connection.url)) % the token is for this server only
      given = [given {'HeaderFields', {'Authorization', ['Token ' connection.token]}}];
    end
  end
  if ~is_octave
    given = [given {'ContentType', 'binary'}];
  end
  try
    answer = webread(url, weboptions(given{:}));
  catch problem
    error('neurojoint:request', 'The server did not answer %s: %s', url, problem.message);
  end
  bytes = reshape(uint8(answer), 1, []);
end
