"""Windows: readings packed into panes, panes grouped and assembled into windows, windows to features."""
