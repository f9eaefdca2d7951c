function connection = connect(url, user, password)
%CONNECT  Sign in to a neurojoint server.
%   CONNECTION = neurojoint.connect(URL, USER, PASSWORD) asks for a token by name and password.
%   CONNECTION = neurojoint.connect(URL, TOKEN) uses a token, as `neurojoint user token` issues them.
%   CONNECTION = neurojoint.connect(URL) reads what is public.
%
%   Example
%     c = neurojoint.connect('http://lab-server:8000', 'ada', getpass());
  url = regexprep(url, '/+$', '');
  connection = struct('url', url, 'token', '');
  if nargin == 2
    connection.token = user;
  elseif nargin == 3
    try
      answer = webwrite([url '/auth-token'], 'username', user, 'password', password);
    catch problem
      error('neurojoint:signIn', 'The server did not let %s in: %s', user, problem.message);
    end
    if ischar(answer)
      answer = jsondecode(answer);
    end
    if ~isfield(answer, 'token')
      error('neurojoint:signIn', 'The server did not let %s in.', user);
    end
    connection.token = answer.token;
  end
end
