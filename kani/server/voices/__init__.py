"""Where the stored voices are: a folder, or a bucket."""
