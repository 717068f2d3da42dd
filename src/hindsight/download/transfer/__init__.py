"""Copy objects and files from buckets and web servers. The step is `files`: one file from a URL.

It uses, in this order: `storage` (the folder behind a URL), `fetch` (many objects at once), `retry` (whether an error
is worth another attempt). `download.bucket` uses them too.
"""
