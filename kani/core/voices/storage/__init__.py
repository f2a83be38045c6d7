"""Places where stored voices are kept: a folder, or a bucket that several servers share."""
