"""A JupyterHub with the accounts of neurojoint: each person gets an account of the computer and of the database."""

c = get_config()  # noqa: F821 - JupyterHub gives it

c.JupyterHub.authenticator_class = "neurojoint"
c.NeurojointAuthenticator.guests = False  # True: accounts with the role public come in too, and can only read
c.NeurojointAuthenticator.create_system_users = True  # as root: one account of the computer a person
c.NeurojointAuthenticator.add_user_cmd = ["useradd", "--create-home", "--shell", "/bin/bash"]
c.JupyterHub.bind_url = "http://:8000"  # behind a proxy with TLS, as the site
c.Spawner.default_url = "/lab"
c.Spawner.cmd = ["jupyterhub-singleuser"]
