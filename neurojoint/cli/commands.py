"""What `neurojoint --help` lists. The command NAME is in the module `cmd_NAME.py`, which is imported when it is run."""

from __future__ import annotations

COMMANDS: dict[str, dict[str, str]] = {
    "Start here": {
        "demo": "Run everything on a simulated lab.",
        "jupyter": "Start JupyterLab in a folder of your notebooks.",
        "shell": "Open IPython, connected, with every schema by its name.",
        "simulate": "Write a simulated lab as an ALF tree.",
        "status": "Show progress, failures and workers, per table.",
    },
    "Data": {
        "cache": "Write the cache tables of the ONE client.",
        "clocks": "Show how recordings and cameras are aligned.",
        "clusterings": "List spike sortings and choose the default ones.",
        "comparison": "Save and list comparisons of two groups of trials.",
        "compress": "Compress registered raw recordings.",
        "condition": "Save and list named choices of trials.",
        "find": "Find sessions, insertions and units.",
        "import-sorting": "Import the results of a spike sorter.",
        "ingest": "Register the ALF files of a data root.",
        "period": "Save and list named periods of trials.",
        "qc": "Set the QC outcome of sessions or datasets.",
        "quarantine": "List rejected files, why, and what to do.",
        "repository": "Manage the repositories that hold files.",
        "revision": "Manage revisions of datasets (#folders#).",
        "rules": "Show, try and save rules of training.",
        "session": "Make, send, move, merge and confirm sessions.",
        "subject": "Rename, merge and move animals.",
        "tag": "Name and protect sets of datasets.",
        "where": "Show where SESSION stands and who must act.",
    },
    "Computing": {
        "agent": "Work off the tasks of a lab's sessions on this computer.",
        "module": "List, create and fill modules with tables of your own.",
        "predict": "Predict from five days of training how long mice take.",
        "refresh": "Delete stale rows, to be computed again.",
        "retry": "Retry failed jobs, of all tables or of TABLE.",
        "sort": "Run a spike sorter on registered recordings.",
        "task": "Show and change preprocessing tasks (docs/lab-server.md).",
        "work": "Run workers that populate the tables.",
    },
    "Server": {
        "dashboard": "Serve the training dashboard.",
        "serve": "Serve ONE over HTTP (Alyx's REST interface).",
    },
    "People": {
        "client-config": "Configure the ONE client for this server.",
        "import": "Import rows from a CSV or Excel FILE.",
        "notify": "Check what is due and send messages by mail.",
        "user": "Manage accounts and tokens of the servers.",
    },
    "Sharing": {
        "archive": "Publish raw files to an archive, and find what lies there.",
        "capsule": "Pack the tables, files and notebooks of a paper.",
        "free": "Remove local raw files of which two verified copies are elsewhere.",
        "nwb": "Export sessions as NWB files, ingest and check NWB files.",
        "publish": "Bring a public copy up to date.",
        "release": "Freeze datasets and give them away.",
        "retrieve": "Copy files back to this computer: what is named, and only that.",
        "transfer": "Copy files to where policies want them, and verify each copy.",
        "verify": "Read copies again, and replace damaged ones from good ones.",
    },
    "Database": {
        "check": "Compare the database with the files and itself.",
        "db": "Start, stop, back up and upgrade the database.",
    },
}
"""Section of the help -> command -> summary."""
