"""Clients of the web and of AWS: files by HTTP, object storage, jobs and catalogues."""
