"""The lake: snapshots of training sets, prepared recordings, labels as files, windows from the archive."""
