"""Copy objects and files from buckets and web servers. The step is `files`: one file from a URL.

It uses `fetch` (many objects at once), `storage` (the folder behind a URL) and `transfer_errors` (whether an error is
worth another attempt). `download.bucket` uses them too.
"""
